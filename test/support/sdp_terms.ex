defmodule Sippet.Test.SDPTerms do
  # Session descriptions of the documented shapes, drawn from a seed; some with a part that no description can have.
  @moduledoc false

  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Media, Origin, Timing}

  @odd [
    "",
    " ",
    "a b",
    " a",
    "a\r\nb",
    "a\nb",
    "a\rb",
    "\0",
    "a:b",
    "a/b",
    "a;b",
    <<0xFF>>,
    nil,
    :atom,
    -1,
    1.5,
    [],
    [1 | 2],
    %{},
    {}
  ]

  @doc "Seeds what the process draws."
  @spec seed(integer) :: :ok
  def seed(seed) do
    :rand.seed(:exsss, {seed, 8866, 3264})
    :ok
  end

  @doc "A description; `odd` is one in how many values is of another shape, 0 for none."
  @spec sdp(non_neg_integer) :: SDP.t()
  def sdp(odd \\ 0) do
    Process.put(__MODULE__, odd)

    %SDP{
      origin: origin(),
      session_name: text(),
      information: maybe(&text/0),
      uri: maybe(&text/0),
      emails: list(&text/0),
      phones: list(&text/0),
      connection: maybe(&connection/0),
      bandwidths: list(&bandwidth/0),
      timings: list(&timing/0),
      key: maybe(&text/0),
      attributes: list(&attribute/0),
      media: list(&media/0)
    }
  end

  defp origin do
    %Origin{
      username: word(),
      session_id: word(),
      session_version: odd(fn -> :rand.uniform(0x7FFFFFFFFFFFFFFF) end),
      network_type: word(),
      address_type: word(),
      address: word()
    }
  end

  defp connection do
    case :rand.uniform(3) do
      1 ->
        %Connection{address: word()}

      2 ->
        %Connection{address: word(), ttl: number(255), address_count: maybe(fn -> number(9) end)}

      3 ->
        %Connection{address_type: "IP6", address: word(), address_count: number(9)}
    end
  end

  defp bandwidth, do: {odd(fn -> one_of(["AS", "CT", "TIAS", "X-Y"]) end), number(0xFFFFFFFFFF)}

  defp timing do
    %Timing{
      start: number(3_724_394_400),
      stop: number(3_724_394_400),
      repeats: list(fn -> {time(), time(), [time() | list(&time/0)]} end),
      zone_adjustments: list(fn -> {number(3_724_394_400), "-" <> time()} end)
    }
  end

  defp media do
    %Media{
      type: odd(fn -> one_of(["audio", "video", "application"]) end),
      port: number(65_535),
      port_count: maybe(fn -> number(4) end),
      protocol: odd(fn -> one_of(["RTP/AVP", "UDP/TLS/RTP/SAVPF", "TCP"]) end),
      formats: list(&word/0),
      information: maybe(&text/0),
      connections: list(&connection/0),
      bandwidths: list(&bandwidth/0),
      key: maybe(&text/0),
      attributes: list(&attribute/0)
    }
  end

  defp attribute do
    case :rand.uniform(22) do
      1 ->
        {:rtpmap,
         %{
           payload_type: number(127),
           encoding_name: word(),
           clock_rate: number(90_000),
           parameters: maybe(&word/0)
         }}

      2 ->
        {:fmtp, %{format: word(), parameters: odd(fn -> "0-15;x= y " end)}}

      3 ->
        {one_of([:ptime, :maxptime]), odd(fn -> one_of([20, "2.5"]) end)}

      4 ->
        {:direction, odd(fn -> one_of([:sendrecv, :sendonly, :recvonly, :inactive]) end)}

      5 ->
        {:candidate,
         %{
           foundation: word(),
           component: number(2),
           transport: word(),
           priority: number(0xFFFFFFFF),
           address: word(),
           port: number(65_535),
           type: word(),
           related_address: maybe(&word/0),
           related_port: maybe(fn -> number(65_535) end),
           extensions: list(fn -> {word(), word()} end)
         }}

      6 ->
        {:fingerprint, %{hash: "sha-256", value: odd(fn -> "4A:AD" end)}}

      7 ->
        {:ice_ufrag, odd(fn -> "8hhY" end)}

      8 ->
        {:ice_pwd, odd(fn -> "asd88fgpdd777uzjYhagZg" end)}

      9 ->
        {:ice_options, [word() | list(&word/0)]}

      10 ->
        {one_of([:ice_lite, :ice_mismatch, :rtcp_mux, :rtcp_rsize]), odd(fn -> true end)}

      11 ->
        {:ice_pacing, number(1000)}

      12 ->
        {:setup, odd(fn -> one_of([:active, :passive, :actpass, :holdconn]) end)}

      13 ->
        {:mid, word()}

      14 ->
        {:group, %{semantics: word(), mids: list(&word/0)}}

      15 ->
        {:msid, %{id: word(), appdata: maybe(&word/0)}}

      16 ->
        {:ssrc, %{ssrc: number(0xFFFFFFFF), attribute: word(), value: one_of([true, text()])}}

      17 ->
        {:ssrc_group, %{semantics: word(), ssrcs: list(fn -> number(0xFFFFFFFF) end)}}

      18 ->
        {:crypto,
         %{
           tag: number(999_999_999),
           suite: word(),
           key_parameters: ["inline:" <> word_or_empty() | list(&word/0)],
           session_parameters: list(&word/0)
         }}

      19 ->
        {:rtcp,
         Map.merge(
           %{port: number(65_535)},
           one_of([
             %{network_type: nil, address_type: nil, address: nil},
             %{network_type: "IN", address_type: "IP4", address: word()}
           ])
         )}

      20 ->
        {:rtcp_fb, %{format: word(), feedback: word(), parameters: maybe(&word/0)}}

      _other ->
        {one_of(["x", "framerate", "", "ptime", "mid"]), odd(fn -> one_of([true, "", " a"]) end)}
    end
  end

  defp word, do: odd(fn -> one_of(["a", "0", "101", "-", "x-y", "192.0.2.1"]) end)
  defp word_or_empty, do: with(other when not is_binary(other) <- word(), do: "")
  defp text, do: odd(fn -> one_of(["", "a", "a b", " ", "\u00E9"]) end)
  defp time, do: one_of(["0", "7d", "3600", "25h"])
  defp number(max), do: odd(fn -> :rand.uniform(max + 1) - 1 end)

  defp list(draw), do: for(_ <- 1..(:rand.uniform(4) - 1)//1, do: draw.())
  defp maybe(draw), do: if(:rand.uniform(2) == 1, do: draw.())
  defp one_of(list), do: Enum.random(list)

  defp odd(draw) do
    case Process.get(__MODULE__) do
      0 -> draw.()
      odd -> if :rand.uniform(odd) == 1, do: one_of(@odd), else: draw.()
    end
  end
end
