defmodule Sippet.Transport.WebSocket.Server do
  # The server's side of the handshake (RFC 6455 §4.2, RFC 7118 §4.1), and what else comes to its port: other requests go to
  # the application.
  @moduledoc false

  alias Sippet.Stack
  alias Sippet.Transaction.Delivery
  alias Sippet.Transport.{Codec, HTTP, Socket}

  # What the framing of a response is told by is not the application's to say.
  @own_headers ~w(connection content-length date transfer-encoding upgrade)

  @doc """
  Reads the request of a connection. Where it opens a WebSocket this is told the peer, and `{:ok, rest}` returned; all else
  is answered, and the connection closed: `{:error, :http_request}` for what the application has answered.
  """
  @spec upgrade(Socket.t(), Codec.context()) :: {:ok, binary} | {:error, term}
  def upgrade(socket, context) do
    case HTTP.read_request(socket, context.deadline) do
      {:ok, request, rest} ->
        answer(socket, request, rest, context)

      {:error, status_code} when is_integer(status_code) ->
        HTTP.respond(socket, nil, status_code, [], "")
        {:error, {:refused, status_code}}

      {:error, :timeout} ->
        # Nothing at all is no request.
        Socket.abort(socket)
        {:error, :timeout}

      {:error, reason} ->
        Socket.abort(socket)
        {:error, reason}
    end
  end

  defp answer(socket, request, rest, %{shared: %{options: options}} = context) do
    origins = origins(options, request.path)

    cond do
      not upgrade?(request) -> plain(socket, request, context, origins != nil)
      origins == nil -> refuse(socket, request, 404, [])
      true -> open(socket, request, rest, origins, context.stack)
    end
  end

  defp origins(%{paths: paths, origins: origins}, path) when is_list(paths),
    do: if(path in paths, do: origins)

  defp origins(%{paths: paths}, path), do: paths[path]

  defp upgrade?(%{method: "GET", version: 1, headers: headers}),
    do:
      HTTP.token?(headers, "upgrade", "websocket") and
        HTTP.token?(headers, "connection", "upgrade")

  defp upgrade?(_request), do: false

  defp open(socket, %{headers: headers} = request, rest, origins, stack) do
    cond do
      HTTP.values(headers, "sec-websocket-version") != ["13"] ->
        refuse(socket, request, 426, [{"Sec-WebSocket-Version", "13"} | upgrade_headers()])

      # A client waits for the answer before it sends a frame (RFC 6455 §4.1).
      not key?(headers) or request.body != "" or rest != "" ->
        refuse(socket, request, 400, [])

      not origin?(origins, headers, stack) ->
        refuse(socket, request, 403, [])

      # Who does not ask for it would take what it is sent for something else (RFC 7118 §4.1).
      "sip" not in HTTP.tokens(headers, "sec-websocket-protocol") ->
        refuse(socket, request, 400, [])

      true ->
        switch(socket, headers)
    end
  end

  defp upgrade_headers, do: [{"Upgrade", "websocket"}, {"Connection", "Upgrade, close"}]

  defp refuse(socket, request, status_code, headers) do
    HTTP.respond(socket, request, status_code, headers, "")
    {:error, {:refused, status_code}}
  end

  defp key?(headers) do
    with [key] <- HTTP.values(headers, "sec-websocket-key"),
         {:ok, <<_::128>>} <- Base.decode64(key),
         do: true,
         else: (_none -> false)
  end

  # Browsers tell by it whose page asks; everybody else may leave it out, or say anything (RFC 6455 §10.2).
  defp origin?(:any, _headers, _stack), do: true

  defp origin?(origins, headers, stack) do
    case HTTP.values(headers, "origin") do
      [] -> true
      [origin] -> origin =~ ~r/\A[!-~]+\z/ and allowed?(origins, lower(origin), headers, stack)
      _several -> false
    end
  end

  defp allowed?(:same_host, origin, headers, _stack) do
    [host] = HTTP.values(headers, "host")
    page = host_of(origin)
    page != nil and page == host_of("http://" <> lower(host))
  end

  defp allowed?(origins, origin, _headers, _stack) when is_list(origins),
    do: Enum.any?(origins, &(lower(&1) == origin))

  defp allowed?(fun, origin, _headers, stack) do
    fun.(origin) == true
  catch
    kind, reason ->
      Delivery.log_failure(stack, inspect(fun), kind, reason, __STACKTRACE__)
      false
  end

  # Of an origin there is nothing else (RFC 6454 §6.1).
  defp host_of(text) do
    host = ~r"\Ahttps?://(\[[0-9a-f:.]+\]|[^:/?#@\[\]]+)(?::[0-9]*)?\z"

    case Regex.run(host, text, capture: :all_but_first) do
      [host] -> host
      nil -> nil
    end
  end

  defp lower(text), do: String.downcase(text, :ascii)

  defp switch(socket, headers) do
    [key] = HTTP.values(headers, "sec-websocket-key")

    response = [
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
      ["Sec-WebSocket-Accept: ", accept(key), "\r\nSec-WebSocket-Protocol: sip\r\n\r\n"]
    ]

    case Socket.send(socket, response) do
      :ok ->
        {:ok, ""}

      {:error, reason} ->
        Socket.abort(socket)
        {:error, reason}
    end
  end

  @doc "What a key is answered with (RFC 6455 §4.2.2)."
  @spec accept(String.t()) :: String.t()
  def accept(key),
    do: Base.encode64(:crypto.hash(:sha, key <> "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))

  defp plain(socket, request, %{shared: %{options: %{http: nil}}}, websocket?) do
    if websocket?,
      do: refuse(socket, request, 426, upgrade_headers()),
      else: refuse(socket, request, 404, [])
  end

  defp plain(socket, request, context, _websocket?) do
    {status_code, headers, body} = call(request, context)
    HTTP.respond(socket, request, status_code, headers, body)
    {:error, :http_request}
  end

  # What fails here is the application's fault, as in a core: told in its log, and 500.
  defp call(request, %{shared: %{options: %{http: http}}, stack: %Stack{} = stack} = context) do
    request = request |> Map.delete(:version) |> Map.put(:remote, context.remote)

    try do
      checked!(run(http, request))
    catch
      kind, reason ->
        Delivery.log_failure(stack, describe(http), kind, reason, __STACKTRACE__)
        {500, [], ""}
    end
  end

  defp run({module, function}, request), do: apply(module, function, [request])
  defp run(fun, request), do: fun.(request)

  defp describe({module, function}), do: "#{inspect(module)}.#{function}/1"
  defp describe(fun), do: inspect(fun)

  defp checked!({status_code, headers, body})
       when status_code in 200..599 and is_list(headers) do
    for header <- headers, not header?(header) do
      raise ArgumentError, "expected headers of {name, value}, got: #{inspect(header)}"
    end

    _ = IO.iodata_length(body)
    own? = fn {name, _value} -> lower(name) in @own_headers end
    {status_code, Enum.reject(headers, own?), body}
  end

  defp checked!(other) do
    raise ArgumentError, "expected {status, headers, body} of :http, got: #{inspect(other)}"
  end

  # No line of a header's own making.
  defp header?({name, value}) when is_binary(name) and is_binary(value),
    do: not ("#{name}#{value}" =~ ~r/[\r\n\0]/)

  defp header?(_other), do: false
end
