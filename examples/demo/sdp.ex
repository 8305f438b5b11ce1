defmodule Demo.SDP do
  @moduledoc """
  Session descriptions of a party that has no media: enough to complete a call (RFC 3264, RFC 8866). One that has some
  answers by `Sippet.OfferAnswer.answer/3`, which chooses codecs.
  """

  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Media, Origin}

  @audio %Media{type: "audio", port: 9, formats: ["0"]}

  @doc "An offer of one audio stream."
  def offer(host), do: write([@audio], host)

  @doc """
  The answer to an offer: as many streams as it has, in its order, and none for one that has port 0 (RFC 3264 §6). Without
  an offer, or with one that cannot be read, it is one.
  """
  def answer(offer, host) do
    case SDP.parse(offer || "") do
      {:ok, %SDP{media: [_ | _] = streams}} -> streams |> Enum.map(&accept/1) |> write(host)
      _none -> offer(host)
    end
  end

  # Port 9 is where nobody listens.
  defp accept(%Media{type: type, port: port, protocol: protocol, formats: formats}) do
    port = if port == 0, do: 0, else: 9
    %Media{type: type, port: port, protocol: protocol, formats: formats}
  end

  defp write(streams, host) do
    type = if host =~ ":", do: "IP6", else: "IP4"

    SDP.to_string(%SDP{
      origin: %Origin{session_id: "1", session_version: 1, address_type: type, address: host},
      connection: %Connection{address_type: type, address: host},
      media: for(stream <- streams, do: SDP.put_attribute(stream, :direction, :inactive))
    })
  end
end
