defmodule Sippet.Test.Call do
  # A call from Alice to Bob as each of them sees it, for the tests of dialogs.
  @moduledoc false

  alias Sippet.{Dialog, Message, URI}

  @doc "The INVITE as it reaches Bob: two proxies stay in the path (§12.1, §24.2)."
  def invite do
    """
    INVITE sip:bob@client.biloxi.example SIP/2.0
    Via: SIP/2.0/UDP p2.biloxi.example;branch=z9hG4bKp2
    Via: SIP/2.0/UDP p1.atlanta.example;branch=z9hG4bKp1
    Via: SIP/2.0/UDP client.atlanta.example;branch=z9hG4bKa1
    Record-Route: <sip:p2.biloxi.example;lr>, <sip:p1.atlanta.example;lr;x=1>
    Max-Forwards: 68
    From: "Alice" <sip:alice@atlanta.example>;tag=a-tag
    To: Bob <sip:bob@biloxi.example>
    Call-ID: one@atlanta.example
    CSeq: 20 INVITE
    Contact: <sip:alice@client.atlanta.example;transport=udp>
    """
  end

  @doc "The INVITE as Alice sent it."
  def sent do
    """
    INVITE sip:bob@biloxi.example SIP/2.0
    Via: SIP/2.0/UDP client.atlanta.example;branch=z9hG4bKa1
    Max-Forwards: 70
    From: "Alice" <sip:alice@atlanta.example>;tag=a-tag
    To: Bob <sip:bob@biloxi.example>
    Call-ID: one@atlanta.example
    CSeq: 20 INVITE
    Contact: <sip:alice@client.atlanta.example;transport=udp>
    Authorization: Digest username="alice", realm="atlanta.example", nonce="n", uri="sip:bob@biloxi.example", response="r"
    Proxy-Authorization: Digest username="alice", realm="p1", nonce="n1", uri="sip:bob@biloxi.example", response="r1"
    """
  end

  def p1, do: "sip:p1.atlanta.example;lr;x=1"
  def p2, do: "sip:p2.biloxi.example;lr"

  def parse(text), do: Message.parse!(text)

  @doc "A response as Alice gets it."
  def response(status, fields \\ []) do
    fields =
      Keyword.merge(
        [
          to: "Bob <sip:bob@biloxi.example>;tag=b-tag",
          cseq: "20 INVITE",
          contact: "<sip:bob@client.biloxi.example>",
          record_route: "<#{p2()}>, <#{p1()}>",
          more: ""
        ],
        fields
      )

    lines =
      for {name, key} <- [
            {"To", :to},
            {"CSeq", :cseq},
            {"Contact", :contact},
            {"Record-Route", :record_route}
          ],
          fields[key] != nil,
          do: "#{name}: #{fields[key]}\r\n"

    parse("""
    SIP/2.0 #{status} Some Phrase
    Via: SIP/2.0/UDP client.atlanta.example;branch=z9hG4bKa1
    From: "Alice" <sip:alice@atlanta.example>;tag=a-tag
    Call-ID: one@atlanta.example
    #{lines}#{fields[:more]}
    """)
  end

  @doc "A request in the dialog as Alice gets it."
  def request_from_bob(method, number, more \\ "") do
    parse("""
    #{method} sip:alice@client.atlanta.example;transport=udp SIP/2.0
    Via: SIP/2.0/UDP p1.atlanta.example;branch=z9hG4bK#{method}#{number}
    From: Bob <sip:bob@biloxi.example>;tag=b-tag
    To: "Alice" <sip:alice@atlanta.example>;tag=a-tag
    Call-ID: one@atlanta.example
    CSeq: #{number} #{method}
    #{more}
    """)
  end

  def uac(status \\ 200, fields \\ []) do
    {:ok, dialog} = Dialog.create_uac(parse(sent()), response(status, fields))
    dialog
  end

  def uas(status \\ 200, invite \\ invite()) do
    {:ok, dialog} = Dialog.create_uas(parse(invite), answer(parse(invite), status))
    dialog
  end

  def answer(request, status) do
    {name, uri, parameters} = request.headers.to

    %{
      request
      | headers: %{request.headers | to: {name, uri, Map.put(parameters, "tag", "b-tag")}}
    }
    |> Message.to_response(status)
    |> Message.put_header(:contact, [{"", URI.parse!("sip:bob@client.biloxi.example"), %{}}])
  end

  def uris(addresses), do: for({_name, uri, _parameters} <- addresses, do: to_string(uri))

  def start_line(message), do: to_string(message.start_line)

  def routes(message), do: message.headers |> Map.get(:route, []) |> uris()

  def target(dialog), do: to_string(dialog.remote_target)

  @doc "Over the network and back: what comes out is a message that was received."
  def receive_bytes(message) do
    message
    |> Message.put_new_header(:via, [
      {{2, 0}, :udp, {"h.example", 5060}, %{"branch" => "z9hG4bKh"}}
    ])
    |> Message.to_string()
    |> parse()
  end
end
