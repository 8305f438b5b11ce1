defmodule Sippet.Test.Wire do
  # SIP messages as text, made and read by hand.
  @moduledoc false

  alias Sippet.Test.Peer

  @doc """
  A request of a peer's. Options replace what it has: `:uri`, `:via`, `:protocol`, `:branch`, `:via_parameters`, `:from_tag`, `:to_tag`,
  `:call_id`, `:cseq`, `:cseq_method`; `:fields` are further lines, `:body` the body.
  """
  def request(method, peer, options \\ []) do
    body = Keyword.get(options, :body, "")
    branch = Keyword.get_lazy(options, :branch, fn -> "z9hG4bK" <> unique() end)
    parameters = Keyword.get(options, :via_parameters, ";rport")

    via =
      Keyword.get_lazy(options, :via, fn ->
        protocol = Keyword.get(options, :protocol, "UDP")
        "SIP/2.0/#{protocol} #{Peer.authority(peer)};branch=#{branch}#{parameters}"
      end)

    lines([
      "#{method} #{Keyword.get(options, :uri, "sip:service@example.com")} SIP/2.0",
      "Via: #{via}",
      "Max-Forwards: 70",
      "From: <sip:peer@example.com>;tag=#{Keyword.get_lazy(options, :from_tag, &unique/0)}",
      "To: <sip:service@example.com>#{tag(options[:to_tag])}",
      "Call-ID: #{Keyword.get_lazy(options, :call_id, &unique/0)}",
      "CSeq: #{Keyword.get(options, :cseq, 1)} #{Keyword.get(options, :cseq_method, method)}",
      if(peer, do: "Contact: <sip:peer@#{Peer.authority(peer)}>", else: []),
      Keyword.get(options, :fields, []),
      "Content-Length: #{byte_size(body)}"
    ]) <> body
  end

  @doc "A request that shares with `first` what belongs to the same dialog and, for ACK and CANCEL, the branch."
  def follow_up(method, first, options \\ []) do
    [via] = Enum.take(fields(first, "Via"), 1)
    [uri] = Regex.run(~r/\A\S+ (\S+)/, first, capture: :all_but_first)
    [cseq] = Regex.run(~r/\A[0-9]+/, field(first, "CSeq"))

    lines([
      "#{method} #{uri} SIP/2.0",
      "Via: #{Keyword.get(options, :via, via)}",
      "Max-Forwards: 70",
      "From: #{field(first, "From")}",
      "To: #{Keyword.get(options, :to, field(first, "To"))}",
      "Call-ID: #{field(first, "Call-ID")}",
      "CSeq: #{Keyword.get(options, :cseq, cseq)} #{method}",
      "Content-Length: 0"
    ])
  end

  @doc "The response of a peer to a request that it received."
  def response(request, status, options \\ []) do
    to = field(request, "To")
    to = if to =~ ";tag=", do: to, else: to <> tag(Keyword.get(options, :to_tag, "peer"))

    lines([
      "SIP/2.0 #{status}",
      Enum.map(fields(request, "Via"), &"Via: #{&1}"),
      "From: #{field(request, "From")}",
      "To: #{to}",
      "Call-ID: #{field(request, "Call-ID")}",
      "CSeq: #{field(request, "CSeq")}",
      Keyword.get(options, :fields, []),
      "Content-Length: 0"
    ])
  end

  @doc "The values of a header field, a line each."
  def fields(message, name) do
    [head | _body] = String.split(message, "\r\n\r\n", parts: 2)

    for line <- tl(String.split(head, "\r\n")),
        [^name, value] <- [String.split(line, ": ", parts: 2)],
        do: value
  end

  @doc "The value of a header field that is there once."
  def field(message, name) do
    [value] = fields(message, name)
    value
  end

  @doc "The To tag of a message; nil without one."
  def to_tag(message) do
    case Regex.run(~r/;tag=([^;]+)/, field(message, "To"), capture: :all_but_first) do
      [tag] -> tag
      nil -> nil
    end
  end

  def unique, do: "u#{System.unique_integer([:positive])}"

  defp tag(nil), do: ""
  defp tag(tag), do: ";tag=#{tag}"

  defp lines(lines), do: Enum.map_join(List.flatten(lines), &(&1 <> "\r\n")) <> "\r\n"
end
