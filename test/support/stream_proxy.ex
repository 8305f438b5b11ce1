defmodule Sippet.Test.StreamProxy do
  # A proxy of SOCKS5 (RFC 1928, RFC 1929) or HTTP CONNECT (RFC 9110 §9.3.6), by hand. It tells the test of what it is asked, as
  # `{:proxied, destination, credentials}`; the destination is `{ip, port}` or `{name, port}`, as it was on the wire.
  @moduledoc false

  @options [:binary, active: false, packet: :raw, nodelay: true]

  @doc """
  Starts one that ends with the test; returns its port on 127.0.0.1, or on `:ip`. Options:

    * `:credentials` - `{username, password}` without which it refuses
    * `:names` - addresses by name, for destinations that are names
    * `:status` - what it answers instead of connecting: a reply of SOCKS5, or a line of a status
    * `:early` - bytes that come from the destination together with its last answer
    * `:bytewise` - its answers come a byte at a time
    * `:hostile` - a function that is given the socket, instead of all of that
  """
  def start(protocol, options \\ []) do
    ip = Keyword.get(options, :ip, {127, 0, 0, 1})
    {:ok, listener} = :gen_tcp.listen(0, [ip: ip, reuseaddr: true] ++ @options)
    {:ok, port} = :inet.port(listener)
    proxy = Map.merge(%{protocol: protocol, test: self()}, Map.new(options))
    pid = spawn_link(fn -> accept(listener, proxy) end)
    :ok = :gen_tcp.controlling_process(listener, pid)
    port
  end

  defp accept(listener, proxy) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn_link(fn -> receive(do: (:go -> serve(socket, proxy))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, proxy)
  end

  defp serve(socket, %{hostile: hostile}), do: hostile.(socket)

  # Whoever has had enough may close at any time.
  defp serve(socket, %{protocol: :socks5} = proxy) do
    with {:ok, <<5, count>>} <- :gen_tcp.recv(socket, 2),
         {:ok, methods} <- :gen_tcp.recv(socket, count),
         {:ok, credentials} <- authenticate(socket, methods, proxy),
         {:ok, <<5, 1, 0, type>>} <- :gen_tcp.recv(socket, 4),
         {:ok, host} <- read_host(socket, type),
         {:ok, <<port::16>>} <- :gen_tcp.recv(socket, 2) do
      send(proxy.test, {:proxied, {host, port}, credentials})

      case connect({host, port}, proxy) do
        {:ok, other} ->
          # A name for the address that it is bound to, the longest answer that there is.
          name = String.duplicate("x", 255)
          answer(socket, [5, 0, 0, 3, 255, name, 0, 0, Map.get(proxy, :early, "")], proxy)
          relay(socket, other)

        {:error, reply} ->
          answer(socket, [5, reply, 0, 1, 0, 0, 0, 0, 0, 0], proxy)
      end
    end
  end

  defp serve(socket, %{protocol: :http_connect} = proxy) do
    with {:ok, head} <- read_head(socket, "") do
      ["CONNECT " <> first | fields] = String.split(head, "\r\n", trim: true)
      [authority, "HTTP/1.1"] = String.split(first, " ")
      true = "Host: #{authority}" in fields

      given =
        Enum.find_value(fields, fn field ->
          with "Proxy-Authorization: Basic " <> encoded <- field do
            [username, password] = encoded |> Base.decode64!() |> String.split(":", parts: 2)

            {username, password}
          else
            _other -> nil
          end
        end)

      destination = destination(authority)
      send(proxy.test, {:proxied, destination, given})

      if proxy[:credentials] in [nil, given] do
        case connect(destination, proxy) do
          {:ok, other} ->
            # Fields of a body that there is not (RFC 9110 §9.3.6), behind an interim response.
            head =
              "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 Connection established\r\n" <>
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"

            answer(socket, [head, Map.get(proxy, :early, "")], proxy)
            relay(socket, other)

          {:error, status} ->
            answer(socket, "HTTP/1.1 #{status}\r\nContent-Length: 4\r\n\r\nsad!", proxy)
        end
      else
        challenge = "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n"

        answer(
          socket,
          "HTTP/1.1 407 Proxy Authentication Required\r\n#{challenge}\r\n",
          proxy
        )
      end
    end
  end

  defp authenticate(socket, methods, %{credentials: credentials} = proxy) do
    if methods =~ <<2>> do
      answer(socket, [5, 2], proxy)
      {:ok, <<1, length>>} = :gen_tcp.recv(socket, 2)
      {:ok, username} = :gen_tcp.recv(socket, length)
      {:ok, <<length>>} = :gen_tcp.recv(socket, 1)
      {:ok, password} = :gen_tcp.recv(socket, length)
      right? = {username, password} == credentials
      answer(socket, [1, if(right?, do: 0, else: 1)], proxy)
      if right?, do: {:ok, credentials}, else: :gen_tcp.close(socket)
    else
      answer(socket, [5, 0xFF], proxy)
    end
  end

  defp authenticate(socket, methods, proxy) do
    true = methods =~ <<0>>
    answer(socket, [5, 0], proxy)
    {:ok, nil}
  end

  defp read_host(socket, 1) do
    with {:ok, <<a, b, c, d>>} <- :gen_tcp.recv(socket, 4), do: {:ok, {a, b, c, d}}
  end

  defp read_host(socket, 4) do
    with {:ok, bytes} <- :gen_tcp.recv(socket, 16),
         do: {:ok, List.to_tuple(for(<<part::16 <- bytes>>, do: part))}
  end

  defp read_host(socket, 3) do
    with {:ok, <<length>>} <- :gen_tcp.recv(socket, 1), do: :gen_tcp.recv(socket, length)
  end

  defp destination(authority) do
    [_, host, port] = Regex.run(~r/\A(.*):([0-9]+)\z/, authority)
    port = String.to_integer(port)

    case :inet.parse_strict_address(
           String.to_charlist(String.trim(host, "[") |> String.trim("]"))
         ) do
      {:ok, ip} when tuple_size(ip) == 8 -> if host =~ ~r/\A\[.*\]\z/, do: {ip, port}
      {:ok, ip} -> {ip, port}
      {:error, :einval} -> {host, port}
    end
  end

  defp read_head(socket, head) do
    if String.ends_with?(head, "\r\n\r\n") do
      {:ok, head}
    else
      with {:ok, byte} <- :gen_tcp.recv(socket, 1), do: read_head(socket, head <> byte)
    end
  end

  defp connect(_destination, %{status: status}), do: {:error, status}

  defp connect({host, port}, proxy) do
    ip = if is_binary(host), do: Map.fetch!(proxy.names, host), else: host
    family = if tuple_size(ip) == 8, do: :inet6, else: :inet
    :gen_tcp.connect(ip, port, [family | @options])
  end

  defp answer(socket, bytes, %{bytewise: true}) do
    for <<byte <- IO.iodata_to_binary(bytes)>> do
      :gen_tcp.send(socket, <<byte>>)

      # So that they come apart.
      receive do
      after
        1 -> :ok
      end
    end

    :ok
  end

  defp answer(socket, bytes, _proxy), do: :gen_tcp.send(socket, bytes)

  defp relay(one, other) do
    for socket <- [one, other], do: :inet.setopts(socket, active: true)
    pass_on(one, other)
  end

  defp pass_on(one, other) do
    receive do
      {:tcp, ^one, bytes} ->
        _ = :gen_tcp.send(other, bytes)
        pass_on(one, other)

      {:tcp, ^other, bytes} ->
        _ = :gen_tcp.send(one, bytes)
        pass_on(one, other)

      {closed, _socket} when closed == :tcp_closed ->
        for socket <- [one, other], do: :gen_tcp.close(socket)
    end
  end
end
