defmodule Sippet.Sim.Link do
  # What becomes of a message between two stacks of a simulation: lost, doubled, held back, late. Pure: chance is a stream of
  # numbers for each direction, made from the seed. A message always draws as many of them, so that the n-th message of a
  # direction has the same luck whatever it says, whatever the probabilities are, and whatever others send.
  @moduledoc false

  # name, default, kind, what it is
  @options [
    {:loss, 0, :probability, "the probability that a message is lost"},
    {:duplicate, 0, :probability, "the probability that a message arrives twice"},
    {:delay, 0, :duration,
     "how long a message is under way, milliseconds or a range of them, each as likely"},
    {:reorder, 0, :probability,
     "the probability that a message is held back, so that later ones overtake it"},
    {:hold, 1..1_000, :duration, "for how long it is then, added to `:delay`"}
  ]

  @names Enum.map(@options, &elem(&1, 0))

  @draws 7

  defstruct seed: 0, usual: %{}, special: %{}, cuts: %{}, streams: %{}, busy_until: %{}

  @typedoc "A stack by its number; the link between two of them."
  @type pair :: {pos_integer, pos_integer}

  @type t :: %__MODULE__{
          seed: integer,
          usual: map,
          special: %{pair => map},
          cuts: %{pair => atom | nil},
          streams: %{pair => :rand.state()},
          busy_until: %{{pair, atom} => non_neg_integer}
        }

  @typedoc "Arrives at these times; lost; refused for this reason."
  @type fate :: {:arrives, [non_neg_integer]} | :lost | :cut | {:refused, atom}

  @doc "The options as a Markdown list."
  @spec options_docs() :: String.t()
  def options_docs do
    for {name, default, _kind, text} <- @options, into: "" do
      "  * `:#{name}` - #{text}; default `#{inspect(default)}`\n"
    end
  end

  @spec names() :: [atom]
  def names, do: @names

  @spec new(integer, map) :: t
  def new(seed, options), do: %__MODULE__{seed: seed, usual: options}

  @doc "Checks options and fills in what is not given."
  @spec validate!(keyword, map) :: map
  def validate!(options, defaults \\ defaults()) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected the link to be a keyword list, got: #{inspect(options)}"
    end

    for {name, _value} <- options, name not in @names do
      raise ArgumentError,
            "unknown option #{inspect(name)} of a link, known are: #{inspect(@names)}"
    end

    for {name, _default, kind, _text} <- @options,
        Keyword.has_key?(options, name),
        into: defaults,
        do: {name, check!(name, kind, options[name])}
  end

  defp defaults,
    do: for({name, default, _kind, _text} <- @options, into: %{}, do: {name, default})

  defp check!(_name, :probability, value) when is_number(value) and value >= 0 and value <= 1,
    do: value

  defp check!(name, :probability, value),
    do: refuse!(name, "a probability between 0 and 1", value)

  defp check!(_name, :duration, value) when is_integer(value) and value >= 0, do: value

  defp check!(_name, :duration, first..last//1 = range) when first >= 0 and last >= first,
    do: range

  defp check!(name, :duration, value),
    do: refuse!(name, "a number of milliseconds or a range of them", value)

  defp refuse!(name, expected, value) do
    raise ArgumentError, "expected #{inspect(name)} to be #{expected}, got: #{inspect(value)}"
  end

  @doc "Gives a direction properties of its own."
  @spec put(t, pair, keyword) :: t
  def put(link, pair, options) do
    properties = validate!(options, properties(link, pair))
    %{link | special: Map.put(link.special, pair, properties)}
  end

  @doc "Cuts a direction: silently, or so that senders are told a reason."
  @spec cut(t, pair, atom | nil) :: t
  def cut(link, pair, reason), do: %{link | cuts: Map.put(link.cuts, pair, reason)}

  @spec heal(t, pair) :: t
  def heal(link, pair), do: %{link | cuts: Map.delete(link.cuts, pair)}

  @doc """
  The fate of a message that leaves now. A reliable protocol loses nothing and keeps the order; where its way is cut the
  sender is told.
  """
  @spec travel(t, pair, protocol :: atom, reliable :: boolean, non_neg_integer) :: {fate, t}
  def travel(link, pair, protocol, reliable, now) do
    {drawn, link} = draw(link, pair)

    case link.cuts do
      %{^pair => nil} when reliable -> {{:refused, :closed}, link}
      %{^pair => nil} -> {:cut, link}
      %{^pair => reason} -> {{:refused, reason}, link}
      _ when reliable -> reliable(link, {pair, protocol}, properties(link, pair), drawn, now)
      _ -> {unreliable(properties(link, pair), drawn, now), link}
    end
  end

  defp properties(link, pair), do: Map.get(link.special, pair, link.usual)

  defp reliable(link, way, properties, [_loss, _duplicate, delay | _], now) do
    arrives = max(now + pick(properties.delay, delay), Map.get(link.busy_until, way, 0))
    {{:arrives, [arrives]}, %{link | busy_until: Map.put(link.busy_until, way, arrives)}}
  end

  defp unreliable(properties, drawn, now) do
    [loss, duplicate, delay, reorder, hold, second_delay, second_reorder] = drawn
    late = fn delay, reorder -> now + delay(properties, delay, reorder, hold) end

    cond do
      loss < properties.loss ->
        :lost

      duplicate < properties.duplicate ->
        {:arrives, [late.(delay, reorder), late.(second_delay, second_reorder)]}

      true ->
        {:arrives, [late.(delay, reorder)]}
    end
  end

  defp delay(properties, delay, reorder, hold) do
    held = if reorder < properties.reorder, do: pick(properties.hold, hold), else: 0
    pick(properties.delay, delay) + held
  end

  # `drawn` is from 0 up to 1, which is left out.
  defp pick(first..last//_, drawn), do: first + trunc(drawn * (last - first + 1))
  defp pick(duration_ms, _drawn), do: duration_ms

  defp draw(link, pair) do
    {from, to} = pair

    stream =
      Map.get_lazy(link.streams, pair, fn -> :rand.seed_s(:exsss, {link.seed, from, to}) end)

    {drawn, stream} =
      Enum.map_reduce(1..@draws, stream, fn _, stream -> :rand.uniform_s(stream) end)

    {drawn, %{link | streams: Map.put(link.streams, pair, stream)}}
  end
end
