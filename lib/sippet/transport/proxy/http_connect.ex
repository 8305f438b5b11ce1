defmodule Sippet.Transport.Proxy.HTTPConnect do
  # A way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), with Basic credentials (RFC 7617) where there are any. They are sent at
  # once, so that nobody has to ask for them.
  @moduledoc false

  @behaviour Sippet.Transport.Proxy

  import Sippet.Transport.Proxy, only: [left: 1]

  alias Sippet.Transport.HTTP

  # How many interim responses are looked away from (RFC 9110 §15.2).
  @max_interim 5

  @impl true
  def open(socket, remote, credentials, deadline) do
    # By lines, so that what comes behind the response stays where it is, for who reads next.
    with :ok <- :gen_tcp.send(socket, request(HTTP.authority(remote), credentials)),
         :ok <- :inet.setopts(socket, packet: :line),
         :ok <- await(socket, deadline, @max_interim),
         do: :inet.setopts(socket, packet: :raw)
  end

  defp request(authority, credentials) do
    [
      ["CONNECT ", authority, " HTTP/1.1\r\nHost: ", authority, "\r\n"],
      with(
        {username, password} <- credentials || [],
        do: ["Proxy-Authorization: Basic ", Base.encode64("#{username}:#{password}"), "\r\n"]
      ),
      "\r\n"
    ]
  end

  defp await(socket, deadline, interim) do
    with {:ok, head} <- read_head(socket, "", deadline),
         {:ok, _version, status_code, _headers} <- HTTP.parse_response(head) do
      cond do
        # Whatever its fields say, there is no body (§9.3.6).
        status_code in 200..299 -> :ok
        # Some say 401, as tinyproxy does to wrong credentials.
        status_code in [401, 407] -> {:error, :authentication}
        status_code in 100..199 and interim > 0 -> await(socket, deadline, interim - 1)
        true -> {:error, {:http, status_code}}
      end
    else
      {:error, status_code} when is_integer(status_code) -> {:error, :malformed}
      {:error, reason} -> {:error, reason}
    end
  end

  defp read_head(socket, read, deadline) do
    cond do
      byte_size(read) > HTTP.max_head_bytes() ->
        {:error, :malformed}

      String.ends_with?(read, "\r\n\r\n") ->
        {:ok, read}

      true ->
        with {:ok, line} <- :gen_tcp.recv(socket, 0, left(deadline)),
             do: read_head(socket, read <> line, deadline)
    end
  end
end
