defmodule Sippet.Transport.HTTP do
  # As much of HTTP/1.1 as the port of a WebSocket needs (RFC 9112): one request or response on a connection, within bounds
  # of bytes and time. Called by the processes of connections during their handshake.
  @moduledoc false

  alias Sippet.Transport.Socket

  @max_head_bytes 16_384
  @max_fields 100
  @max_body_bytes 65_536

  # How long a peer may take to read its answer, and how much of what it sends meanwhile is looked away from.
  @linger_ms 1_000
  @linger_bytes 1_048_576

  # Strict, as in a reader that stands behind another one: no folds, no LF alone, nothing between a name and its colon.
  @token "[-!#$%&'*+.^_`|~0-9A-Za-z]++"
  @fields "((?:#{@token}:[^\\r\\n\\0]*+\\r\\n)*+)\\r\\n\\z"
  @request_head "\\A(#{@token}) ([!-~]++) HTTP/1\\.([01])\\r\\n" <> @fields
  @response_head "\\AHTTP/1\\.([01]) ([1-5][0-9]{2})(?: [^\\r\\n\\0]*+)?\\r\\n" <> @fields

  @type field :: {name :: String.t(), value :: String.t()}

  @typedoc "version is the minor one; names of fields are in lower case."
  @type request :: %{
          method: String.t(),
          path: String.t(),
          query: String.t() | nil,
          version: 0 | 1,
          headers: [field],
          body: binary
        }

  @doc """
  The request of a peer, and what came behind it.

  `{:error, status_code}` is what it earns instead, `{:error, reason}` that there is nobody to answer.
  """
  @spec read_request(Socket.t(), integer) ::
          {:ok, request, rest :: binary} | {:error, 400..599 | atom}
  def read_request(socket, deadline) do
    with {:ok, head, rest} <- read_head(socket, "", deadline),
         {:ok, request} <- parse_request(head),
         {:ok, length} <- body_length(request),
         :ok <- continue(socket, request, length - byte_size(rest)),
         {:ok, body, rest} <- read_body(socket, rest, length, deadline),
         do: {:ok, %{request | body: body}, rest}
  end

  @doc "The response of a server of HTTP/1.1: its status code, its fields, and what came behind it."
  @spec read_response(Socket.t(), integer) ::
          {:ok, 100..599, [field], rest :: binary} | {:error, 400..599 | atom}
  def read_response(socket, deadline) do
    with {:ok, head, rest} <- read_head(socket, "", deadline),
         {:ok, version, status_code, headers} <- parse_response(head),
         do: if(version == 1, do: {:ok, status_code, headers, rest}, else: {:error, 505})
  end

  @doc "The head of a response, with its empty line: the minor version, the status code, the fields."
  @spec parse_response(binary) :: {:ok, 0 | 1, 100..599, [field]} | {:error, 400 | 431}
  def parse_response(head) do
    with [_, version, status_code, fields] <- Regex.run(regex(@response_head), head),
         {:ok, headers} <- fields(fields) do
      {:ok, String.to_integer(version), String.to_integer(status_code), headers}
    else
      {:error, status_code} -> {:error, status_code}
      nil -> {:error, 400}
    end
  end

  @doc "The most bytes that a head may have."
  @spec max_head_bytes() :: pos_integer
  def max_head_bytes, do: @max_head_bytes

  @doc "`host:port`, IPv6 in brackets; without the port where it is `default_port`."
  @spec authority({:inet.ip_address() | String.t(), :inet.port_number()}, integer | nil) ::
          String.t()
  def authority({host, port}, default_port \\ nil) do
    host = if is_tuple(host), do: List.to_string(:inet.ntoa(host)), else: host
    bare = host |> String.trim_leading("[") |> String.trim_trailing("]")
    host = if String.contains?(bare, ":"), do: "[#{bare}]", else: bare
    if port == default_port, do: host, else: "#{host}:#{port}"
  end

  defp read_head(socket, read, deadline) do
    case :binary.split(read, "\r\n\r\n") do
      [head, rest] when byte_size(head) <= @max_head_bytes ->
        {:ok, head <> "\r\n\r\n", rest}

      _more when byte_size(read) > @max_head_bytes ->
        {:error, 431}

      [_incomplete] ->
        with {:ok, bytes} <- Socket.read(socket, left(deadline)),
             do: read_head(socket, read <> bytes, deadline)
    end
  end

  defp left(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)

  defp parse_request(head) do
    with [_, method, target, version, fields] <- Regex.run(regex(@request_head), head),
         {:ok, path, query} <- target(target),
         {:ok, headers} <- fields(fields),
         true <- version == "0" or match?([_host], values(headers, "host")) do
      {:ok,
       %{
         method: method,
         path: path,
         query: query,
         version: String.to_integer(version),
         headers: headers,
         body: ""
       }}
    else
      {:error, status_code} -> {:error, status_code}
      _malformed -> {:error, 400}
    end
  end

  # Not in an attribute, which can hold none from OTP 28 on.
  defp regex(source), do: Regex.compile!(source)

  # Origin-form or absolute-form (RFC 9112 §3.2); the others are for proxies and for nothing in particular.
  defp target("/" <> _ = target) do
    case String.split(target, "?", parts: 2) do
      [path] -> {:ok, path, nil}
      [path, query] -> {:ok, path, query}
    end
  end

  defp target(target) do
    case Regex.run(~r"\Ahttps?://[^/?#]+(.*)\z"i, target) do
      [_, "/" <> _ = path] -> target(path)
      [_, rest] -> target("/" <> rest)
      nil -> {:error, 400}
    end
  end

  defp fields(text), do: fields(text, [])
  defp fields("", fields), do: {:ok, Enum.reverse(fields)}
  defp fields(_text, fields) when length(fields) >= @max_fields, do: {:error, 431}

  # The empty line tells that no fold follows.
  defp fields(text, fields) do
    case :erlang.decode_packet(:httph_bin, text <> "\r\n", []) do
      {:ok, {:http_header, _, name, _, value}, rest} ->
        name = name |> to_string() |> String.downcase(:ascii)

        fields(binary_part(rest, 0, byte_size(rest) - 2), [
          {name, Regex.replace(~r/\A[ \t]+|[ \t]+\z/, value, "")} | fields
        ])

      _malformed ->
        {:error, 400}
    end
  end

  # Two opinions about the end of a body are none.
  defp body_length(%{headers: headers}) do
    case {values(headers, "transfer-encoding"), values(headers, "content-length")} do
      {[], []} -> {:ok, 0}
      {[], [length]} -> content_length(length)
      {[], _several} -> {:error, 400}
      {_encoded, []} -> {:error, 501}
      {_encoded, _and_counted} -> {:error, 400}
    end
  end

  defp content_length(text) do
    cond do
      not (text =~ ~r/\A[0-9]{1,19}\z/) -> {:error, 400}
      String.to_integer(text) > @max_body_bytes -> {:error, 413}
      true -> {:ok, String.to_integer(text)}
    end
  end

  defp continue(socket, %{version: 1, headers: headers}, missing) when missing > 0 do
    if Enum.map(values(headers, "expect"), &String.downcase/1) == ["100-continue"],
      do: Socket.send(socket, "HTTP/1.1 100 Continue\r\n\r\n"),
      else: :ok
  end

  defp continue(_socket, _request, _missing), do: :ok

  defp read_body(socket, read, length, deadline) do
    case read do
      <<body::binary-size(length), rest::binary>> ->
        {:ok, body, rest}

      _incomplete ->
        with {:ok, bytes} <- Socket.read(socket, left(deadline)),
             do: read_body(socket, read <> bytes, length, deadline)
    end
  end

  @doc "The values of all fields of a name in lower case."
  @spec values([field], String.t()) :: [String.t()]
  def values(headers, name), do: for({^name, value} <- headers, do: value)

  @doc "Whether a list of tokens has this one, in any case."
  @spec token?([field], String.t(), String.t()) :: boolean
  def token?(headers, name, token),
    do: Enum.any?(tokens(headers, name), &(String.downcase(&1, :ascii) == token))

  @doc "The elements of a list that may stand in several fields."
  @spec tokens([field], String.t()) :: [String.t()]
  def tokens(headers, name) do
    for value <- values(headers, name),
        token <- String.split(value, ","),
        token = String.trim(token),
        token != "",
        do: token
  end

  @doc """
  Answers, and closes the connection: there is no second request on it, so that nothing in the body of the first one can be
  taken for one.
  """
  @spec respond(Socket.t(), request | nil, 200..599, [field], iodata) :: :ok
  def respond(socket, request, status_code, headers, body) do
    head = [
      "HTTP/1.1 #{status_code} #{reason_phrase(status_code)}\r\n",
      "Date: #{Calendar.strftime(DateTime.utc_now(), "%a, %d %b %Y %H:%M:%S GMT")}\r\n",
      for({name, value} <- headers, do: [name, ": ", value, "\r\n"]),
      # RFC 9110 §8.6: these have no body, and do not tell of one.
      if(status_code in [204, 304],
        do: [],
        else: "Content-Length: #{IO.iodata_length(body)}\r\n"
      ),
      unless(List.keymember?(headers, "Connection", 0), do: "Connection: close\r\n", else: []),
      "\r\n"
    ]

    bodyless = status_code in [204, 304] or match?(%{method: "HEAD"}, request)

    _ =
      with :ok <- Socket.send(socket, if(bodyless, do: head, else: [head, body])) do
        _ = Socket.finish(socket)
        linger(socket, System.monotonic_time(:millisecond) + @linger_ms, @linger_bytes)
      end

    Socket.close(socket)
  end

  # Closing with something unread would take the answer back.
  defp linger(socket, deadline, bytes) when bytes > 0 do
    with {:ok, read} <- Socket.read(socket, left(deadline)),
         do: linger(socket, deadline, bytes - byte_size(read))
  end

  defp linger(_socket, _deadline, _none), do: :ok

  @phrases %{
    200 => "OK",
    201 => "Created",
    202 => "Accepted",
    204 => "No Content",
    301 => "Moved Permanently",
    302 => "Found",
    303 => "See Other",
    304 => "Not Modified",
    307 => "Temporary Redirect",
    308 => "Permanent Redirect",
    400 => "Bad Request",
    401 => "Unauthorized",
    403 => "Forbidden",
    404 => "Not Found",
    405 => "Method Not Allowed",
    408 => "Request Timeout",
    413 => "Content Too Large",
    426 => "Upgrade Required",
    431 => "Request Header Fields Too Large",
    500 => "Internal Server Error",
    501 => "Not Implemented",
    503 => "Service Unavailable"
  }

  # For people: it may be empty (RFC 9112 §4).
  defp reason_phrase(status_code), do: Map.get(@phrases, status_code, "")
end
