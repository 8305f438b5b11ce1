defmodule Bench.Floor do
  @moduledoc """
  What no parser in a NIF can be faster than: makes a message's terms from a recipe and does nothing else.

  The recipe is taken from a parsed message. It copies what the parser copies, refers to the datagram where that does,
  and uses the same literals; a term that is there twice is made once.
  """

  @on_load :load

  @immediate 0
  @literal 1
  @copy 2
  @refer 3
  @cons 4
  @tuple 5
  @map 6

  @doc false
  # `mix compile` calls it too, before there is a library.
  def load do
    case System.get_env("BENCH_FLOOR") do
      nil -> :ok
      path -> :erlang.load_nif(String.to_charlist(Path.rootname(path)), 0)
    end
  end

  @doc "A function that builds the result of `parse.(data)`."
  @spec builder(binary, (binary -> term)) :: (() -> term)
  def builder(data, parse) do
    # A string that is the same term in two results is a literal.
    {_last, state} =
      step(parse.(data), parse.(data), %{data: data, steps: [], count: 0, literals: [], seen: []})

    recipe = state.steps |> Enum.reverse() |> prepare()
    literals = state.literals |> Enum.reverse() |> List.to_tuple()
    fn -> build(recipe, data, literals) end
  end

  @doc false
  def prepare(_steps), do: :erlang.nif_error(:not_loaded)

  @doc false
  def build(_recipe, _data, _literals), do: :erlang.nif_error(:not_loaded)

  defp step(term, twin, state) do
    case Enum.find(state.seen, fn {seen, _slot} -> :erts_debug.same(seen, term) end) do
      {_seen, slot} ->
        {slot, state}

      nil ->
        {kind, argument, state} = make(term, twin, state)

        state = %{
          state
          | steps: [{kind, argument} | state.steps],
            seen: [{term, state.count} | state.seen]
        }

        {state.count, %{state | count: state.count + 1}}
    end
  end

  defp make(term, _twin, state) when is_atom(term) or is_integer(term) or term == [],
    do: {@immediate, term, state}

  defp make(term, twin, state) when is_binary(term) do
    cond do
      :erts_debug.same(term, twin) ->
        {@literal, length(state.literals), %{state | literals: [term | state.literals]}}

      byte_size(term) > 64 ->
        {@refer, :binary.match(state.data, term), state}

      true ->
        {@copy, term, state}
    end
  end

  defp make([head | tail], [head_twin | tail_twin], state) do
    {tail, state} = step(tail, tail_twin, state)
    {head, state} = step(head, head_twin, state)
    {@cons, {head, tail}, state}
  end

  defp make(term, twin, state) when is_tuple(term) do
    {slots, state} = steps(Tuple.to_list(term), Tuple.to_list(twin), state)
    {@tuple, slots, state}
  end

  # In the order in which the VM keeps keys, which is the cheapest for it.
  defp make(term, twin, state) when is_map(term) do
    keys = term |> Map.keys() |> Enum.sort()
    values = Enum.map(keys, &Map.fetch!(term, &1))
    twin_keys = twin |> Map.keys() |> Enum.sort()
    {key_slots, state} = steps(keys, twin_keys, state)
    {value_slots, state} = steps(values, Enum.map(keys, &Map.fetch!(twin, &1)), state)
    {@map, {key_slots, value_slots}, state}
  end

  defp steps(terms, twins, state) do
    terms
    |> Enum.zip(twins)
    |> Enum.map_reduce(state, fn {term, twin}, state -> step(term, twin, state) end)
  end
end
