defmodule Demo.Registration do
  @moduledoc """
  A telephone tells the server of its user where it is (§10.2), and shows who it is when it is asked to (§22.2).
  """

  alias Demo.Local
  alias Sippet.{Message, URI}

  @stack :demo_server

  @doc """
  Registers `{user, password}` of the realm at the server `{host, port}` for `seconds`; 0 ends that. `host` is numeric.

  `:ok`, or `{:error, sentence}`.
  """
  def register({host, port}, realm, {user, _password} = credentials, seconds) do
    {:ok, peer_ip} = host |> String.to_charlist() |> :inet.parse_address()
    server = %URI{scheme: "sip", host: host, port: port}
    me = %{server | userinfo: user}

    request =
      :register
      |> Message.build_request(server)
      |> Message.put_header(:via, Local.via(@stack, peer_ip))
      |> Message.put_header(:max_forwards, 70)
      |> Message.put_header(:from, {"", me, %{"tag" => Message.create_tag()}})
      |> Message.put_header(:to, {"", me, %{}})
      |> Message.put_header(:call_id, Message.create_call_id())
      |> Message.put_header(:cseq, {1, :register})
      |> Message.put_header(:contact, Local.contact(@stack, user, peer_ip))
      |> Message.put_header(:expires, seconds)

    case Sippet.request(@stack, request, credentials: [{realm, credentials}], timeout: 5_000) do
      {:ok, %{start_line: %{status_code: 200}}} -> :ok
      {:ok, %{start_line: line}} -> {:error, "it was answered #{line}"}
      {:error, error} -> {:error, inspect(error)}
    end
  end
end
