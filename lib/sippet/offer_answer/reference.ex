defmodule Sippet.OfferAnswer.Reference do
  # Codecs whose parameters name others by payload type: retransmission by `apt=96` (RFC 4588 §8.1), redundant audio by
  # `111/111` (RFC 2198 §5). Called by Sippet.OfferAnswer.Answer only.
  @moduledoc false

  alias Sippet.OfferAnswer.Codec

  @apt ~r/(?:^|;) *apt=\K[0-9]{1,3}/i
  @red ~r"^[0-9]{1,3}(?:/[0-9]{1,3})*$"

  @typedoc "A codec, and the payload types of those that it goes with."
  @type t :: {Codec.t(), [non_neg_integer]}

  @doc "Codecs with what they go with."
  @spec list([Codec.t()]) :: [t]
  def list(codecs), do: for(codec <- codecs, do: {codec, payload_types(codec)})

  @doc """
  Those whose others are there too (RFC 4588 §8, RFC 2198 §5): on their own, or with retransmission, redundancy, or both.
  """
  @spec whole([t]) :: [t]
  def whole(list) do
    # No further: who offers a chain of a hundred, or a ring, does not have it followed.
    there =
      Enum.reduce(1..3, MapSet.new(), fn _depth, there ->
        for {codec, others} <- list,
            Enum.all?(others, &(&1 in there)),
            into: there,
            do: codec.payload_type
      end)

    Enum.filter(list, fn {codec, _others} -> codec.payload_type in there end)
  end

  defp payload_types(%Codec{parameters: parameters} = codec) when is_binary(parameters) do
    numbers =
      case kind(codec) do
        :rtx -> Regex.run(@apt, parameters) || []
        :red -> if parameters =~ @red, do: String.split(parameters, "/"), else: []
        :other -> []
      end

    Enum.map(numbers, &String.to_integer/1)
  end

  defp payload_types(_codec), do: []

  @doc """
  The parameters of an answered codec: those of this side, else those of the offer; but what goes with another codec goes
  with the one that it was offered for, by the number in `answered`.
  """
  @spec parameters(Codec.t(), Codec.t(), %{non_neg_integer => non_neg_integer}) ::
          String.t() | nil
  def parameters(offered, own, answered) do
    numbers = for number <- payload_types(offered), do: Integer.to_string(answered[number])

    case {kind(offered), numbers} do
      {_kind, []} -> own.parameters || offered.parameters
      {:red, numbers} -> Enum.join(numbers, "/")
      {:rtx, [number]} -> Regex.replace(@apt, retransmission(offered, own), number)
    end
  end

  # How long this side keeps what it may send again is its own to say.
  defp retransmission(offered, own),
    do: if(payload_types(own) == [], do: offered.parameters, else: own.parameters)

  defp kind(%Codec{name: name}) do
    case String.downcase(name, :ascii) do
      "rtx" -> :rtx
      "red" -> :red
      _name -> :other
    end
  end
end
