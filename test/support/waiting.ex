defmodule Sippet.Test.Waiting do
  # For tests of processes that wait for a response: a stack, a peer made of a socket that is read on demand, text.
  @moduledoc false

  import ExUnit.Assertions
  import ExUnit.Callbacks

  alias Sippet.Message
  alias Sippet.Test.{Repetition, Stack}

  @doc "A stack of one transport. What its core gets comes to the test as `{:core, {callback, first, key}}`."
  def start(options \\ []) do
    name = :"request_#{System.unique_integer([:positive])}"
    options = [name: name, max_start_delay_ms: :infinity] ++ options
    start_supervised!({Sippet, options})
    start_supervised!({Sippet.Transports.UDP, name: name, port: 0, address: "127.0.0.1"})
    test = self()

    Sippet.Test.Core.register(name, fn callback, first, key ->
      send(test, {:core, {callback, first, key}})
    end)

    name
  end

  def peer do
    {:ok, socket} =
      :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false, recbuf: 4_194_304])

    {:ok, port} = :inet.port(socket)
    %{socket: socket, port: port}
  end

  def request(method, peer, fields \\ []) do
    %{
      Message.build_request(method, "sip:bob@biloxi.example")
      | target: {:udp, "127.0.0.1", peer.port}
    }
    |> Message.put_header(:via, [
      {{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch(), "rport" => ""}}
    ])
    |> Message.put_header(:max_forwards, 70)
    |> Message.put_header(
      :from,
      {"", Sippet.URI.parse!("sip:alice@atlanta.example"), %{"tag" => Message.create_tag()}}
    )
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:bob@biloxi.example"), %{}})
    |> Message.put_header(:call_id, Message.create_call_id())
    |> Message.put_header(:cseq, {1, method})
    |> then(
      &Enum.reduce(fields, &1, fn {name, value}, m -> Message.put_header(m, name, value) end)
    )
  end

  # The next datagram of a peer, but for what Sippet.Test.Repetition passes over: its text and where it came from.
  def receive_text(peer, method, timeout \\ Repetition.deadline_ms()) do
    {:ok, {ip, port, text}} = :gen_udp.recv(peer.socket, 0, timeout)

    if Repetition.passed_over?(peer.socket, text, method <> " ") do
      receive_text(peer, method, timeout)
    else
      assert String.starts_with?(text, method <> " "), "expected #{method}, got:\n#{text}"
      {text, {ip, port}}
    end
  end

  def silent?(peer, timeout), do: :gen_udp.recv(peer.socket, 0, timeout) == {:error, :timeout}

  def answer(peer, {text, {ip, port}}, status, options \\ []) do
    to = field(text, "To")
    tag = Keyword.get(options, :tag, "peer")
    to = if to =~ ";tag=", do: to, else: to <> ";tag=#{tag}"

    lines =
      ["SIP/2.0 #{status}"] ++
        for(value <- fields(text, "Via"), do: "Via: #{value}") ++
        ["From: #{field(text, "From")}", "To: #{to}", "Call-ID: #{field(text, "Call-ID")}"] ++
        ["CSeq: #{field(text, "CSeq")}"] ++
        Keyword.get(options, :fields, []) ++ ["Content-Length: 0", "", ""]

    :ok = :gen_udp.send(peer.socket, ip, port, Enum.join(lines, "\r\n"))
  end

  def fields(text, name) do
    for [_, value] <- Regex.scan(~r/^#{name}: ([^\r]*)\r$/m, text), do: value
  end

  def field(text, name) do
    assert [value] = fields(text, name)
    value
  end

  def async(fun) do
    test = self()
    spawn_monitor(fn -> send(test, {:result, self(), fun.()}) end)
  end

  def result({pid, _monitor}, timeout \\ Repetition.deadline_ms()) do
    assert_receive {:result, ^pid, result}, timeout
    result
  end

  def status({:ok, response}), do: response.start_line.status_code

  defdelegate eventually(fun), to: Stack

  # The methods of what is there, and comes within a while.
  def drain(peer) do
    case :gen_udp.recv(peer.socket, 0, 50) do
      {:ok, {_, _, text}} -> [text |> String.split(" ") |> hd() | drain(peer)]
      {:error, :timeout} -> []
    end
  end

  def all(stack), do: stack |> Sippet.Transaction.list() |> all(stack, [])
  def all({infos, nil}, _stack, found), do: found ++ infos

  def all({infos, cursor}, stack, found),
    do: stack |> Sippet.Transaction.list(cursor) |> all(stack, found ++ infos)

  def mailbox do
    receive do
      message -> [message | mailbox()]
    after
      0 -> []
    end
  end
end
