defmodule Sippet.Transport.Proxy.SOCKS5 do
  # A way through a SOCKS5 proxy (RFC 1928), with a user name and a password where it wants them (RFC 1929). Nothing is read that
  # is not its own: each part says how long it is, and none is longer than 257 bytes.
  @moduledoc false

  @behaviour Sippet.Transport.Proxy

  import Sippet.Transport.Proxy, only: [left: 1]

  @version 5
  @no_authentication 0
  @username_password 2
  @none_acceptable 0xFF
  @connect 1
  @ipv4 1
  @domain_name 3
  @ipv6 4
  @succeeded 0

  @impl true
  def open(socket, remote, credentials, deadline) do
    with :ok <- :gen_tcp.send(socket, greeting(credentials)),
         {:ok, <<@version, method>>} <- :gen_tcp.recv(socket, 2, left(deadline)),
         :ok <- authenticate(method, socket, credentials, deadline),
         :ok <- :gen_tcp.send(socket, request(remote)),
         {:ok, <<@version, @succeeded, _reserved, type>>} <-
           :gen_tcp.recv(socket, 4, left(deadline)),
         {:ok, _bound} <- read_address(type, socket, deadline) do
      :ok
    else
      {:ok, <<@version, reply, _reserved, _type>>} -> {:error, {:socks5, reply}}
      {:ok, _other} -> {:error, :malformed}
      {:error, reason} -> {:error, reason}
    end
  end

  defp greeting(nil), do: <<@version, 1, @no_authentication>>
  defp greeting(_credentials), do: <<@version, 2, @no_authentication, @username_password>>

  defp authenticate(@no_authentication, _socket, _credentials, _deadline), do: :ok

  defp authenticate(@username_password, socket, {username, password}, deadline) do
    request = [1, byte_size(username), username, byte_size(password), password]

    with :ok <- :gen_tcp.send(socket, request) do
      case :gen_tcp.recv(socket, 2, left(deadline)) do
        {:ok, <<1, 0>>} -> :ok
        {:ok, <<1, _failure>>} -> {:error, :authentication}
        # RFC 1929 §2: it closes the connection then, and some do so without the answer.
        {:error, :closed} -> {:error, :authentication}
        {:ok, _other} -> {:error, :malformed}
        {:error, reason} -> {:error, reason}
      end
    end
  end

  defp authenticate(@none_acceptable, _socket, _credentials, _deadline),
    do: {:error, :authentication}

  defp authenticate(_not_offered, _socket, _credentials, _deadline), do: {:error, :malformed}

  defp request({host, port}), do: [<<@version, @connect, 0>>, address(host), <<port::16>>]

  defp address({a, b, c, d}), do: <<@ipv4, a, b, c, d>>

  defp address(ip) when tuple_size(ip) == 8,
    do: [@ipv6, for(part <- Tuple.to_list(ip), do: <<part::16>>)]

  # A name has at most 253 bytes.
  defp address(name), do: [@domain_name, byte_size(name), name]

  # Where the proxy is connected from, and of no use here; what comes behind it is the peer's.
  defp read_address(@ipv4, socket, deadline), do: :gen_tcp.recv(socket, 6, left(deadline))
  defp read_address(@ipv6, socket, deadline), do: :gen_tcp.recv(socket, 18, left(deadline))

  defp read_address(@domain_name, socket, deadline) do
    with {:ok, <<length>>} <- :gen_tcp.recv(socket, 1, left(deadline)),
         do: :gen_tcp.recv(socket, length + 2, left(deadline))
  end

  defp read_address(_other, _socket, _deadline), do: {:error, :malformed}
end
