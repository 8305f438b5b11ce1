defmodule Demo.SDP do
  @moduledoc """
  Session descriptions of a party that has no media: enough to complete a call (RFC 3264, RFC 4566).
  """

  @audio ["m=audio 9 RTP/AVP 0\r\n", "a=inactive\r\n"]

  @doc "An offer of one audio stream."
  def offer(host), do: IO.iodata_to_binary([head(host), @audio])

  @doc "The answer to an offer: as many streams as it has, in its order (RFC 3264 §6). Without an offer it is one."
  def answer(offer, host) do
    case Regex.scan(~r/^m=(\S+) \S+ ([^\r\n]+)/m, offer || "", capture: :all_but_first) do
      [] ->
        offer(host)

      streams ->
        streams =
          for [media, rest] <- streams, do: ["m=", media, " 9 ", rest, "\r\na=inactive\r\n"]

        IO.iodata_to_binary([head(host), streams])
    end
  end

  defp head(host) do
    address = if host =~ ":", do: "IP6 " <> host, else: "IP4 " <> host

    [
      ["v=0\r\n", "o=- 1 1 IN ", address, "\r\n"],
      ["s=-\r\n", "c=IN ", address, "\r\n", "t=0 0\r\n"]
    ]
  end
end
