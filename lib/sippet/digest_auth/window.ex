defmodule Sippet.DigestAuth.Window do
  # Which counts of which nonces were used. Many processes ask at a time; nobody waits for another. Called by
  # Sippet.DigestAuth.Server only.
  #
  # A table, ordered by the time of the nonces, of those that somebody has authenticated with: highest count, and a bit for
  # each of the 64 before it, since requests may overtake each other. When it is full the oldest goes, and the floor rises
  # to its time: no nonce from then or before is taken any more, so that what was forgotten cannot be replayed.
  @moduledoc false

  import Bitwise

  alias Sippet.DigestAuth.Nonce

  @bits 64
  @mask (1 <<< @bits) - 1

  # More than any client needs; a longer one is not remembered.
  @max_cnonce_bytes 128

  @enforce_keys [:table, :floor, :max]
  defstruct @enforce_keys

  @type t :: %__MODULE__{table: :ets.table(), floor: :atomics.atomics_ref(), max: pos_integer}

  @doc "Makes a window of the calling process for nonces made after `now`."
  @spec new(pos_integer, non_neg_integer) :: t
  def new(max, now) do
    floor = :atomics.new(1, [])
    :atomics.put(floor, 1, now)

    # The number of rows is asked for with each new nonce: it must be one counter.
    options = [:ordered_set, :public, write_concurrency: true, decentralized_counters: false]
    %__MODULE__{table: :ets.new(__MODULE__, options), floor: floor, max: max}
  end

  @doc "The time up to which no nonce is taken."
  @spec floor_time(t) :: non_neg_integer
  def floor_time(%__MODULE__{floor: floor}), do: :atomics.get(floor, 1)

  @doc "Uses a count of a nonce: `:replayed` where it was used, or is too far behind to tell; `:forgotten` below the floor."
  @spec use(t, Nonce.id(), pos_integer, String.t() | nil) :: :ok | :replayed | :forgotten
  def use(%__MODULE__{} = window, {time, _random} = id, nc, cnonce) do
    if time <= floor_time(window) do
      :forgotten
    else
      result = count(window, id, nc, cnonce)
      # Asked again: who has found no row because it was just removed finds the floor raised.
      if time <= floor_time(window), do: :forgotten, else: result
    end
  end

  defp count(window, id, nc, cnonce) do
    case :ets.lookup(window.table, id) do
      [] -> insert(window, id, nc, cnonce)
      [row] -> update(window, row, nc, cnonce)
    end
  end

  defp insert(window, id, nc, cnonce) do
    make_room(window)

    if :ets.insert_new(window.table, {id, nc, 1, remembered(cnonce)}),
      do: :ok,
      else: count(window, id, nc, cnonce)
  end

  defp remembered(cnonce) when is_binary(cnonce) and byte_size(cnonce) <= @max_cnonce_bytes,
    do: :binary.copy(cnonce)

  defp remembered(_none), do: nil

  defp update(window, {id, high, bits, _cnonce}, nc, cnonce) do
    case step(high, bits, nc) do
      :replayed ->
        :replayed

      {new_high, new_bits} ->
        # Only if the row is still as it was read.
        pattern = {id, high, bits, :"$1"}
        new = {{{:const, id}, new_high, new_bits, :"$1"}}

        case :ets.select_replace(window.table, [{pattern, [], [new]}]) do
          1 -> :ok
          0 -> count(window, id, nc, cnonce)
        end
    end
  end

  defp step(high, bits, nc) when nc > high and nc - high < @bits,
    do: {nc, (bits <<< (nc - high) ||| 1) &&& @mask}

  defp step(high, _bits, nc) when nc > high, do: {nc, 1}
  defp step(high, _bits, nc) when high - nc >= @bits, do: :replayed

  defp step(high, bits, nc) do
    bit = 1 <<< (high - nc)
    if (bits &&& bit) == 0, do: {high, bits ||| bit}, else: :replayed
  end

  @doc "The cnonce that the first use of a nonce had, or `nil`."
  @spec first_cnonce(t, Nonce.id()) :: String.t() | nil
  def first_cnonce(%__MODULE__{table: table}, id) do
    case :ets.lookup(table, id) do
      [{_id, _high, _bits, cnonce}] -> cnonce
      [] -> nil
    end
  end

  defp make_room(%__MODULE__{table: table, max: max} = window) do
    if :ets.info(table, :size) >= max do
      case :ets.first(table) do
        :"$end_of_table" ->
          :ok

        {time, _random} = oldest ->
          raise_floor(window.floor, time)
          :ets.delete(table, oldest)
          make_room(window)
      end
    end
  end

  # Never down, whoever else raises it.
  defp raise_floor(floor, time) do
    now = :atomics.get(floor, 1)

    if time > now and :atomics.compare_exchange(floor, 1, now, time) != :ok,
      do: raise_floor(floor, time)
  end

  @doc "Forgets the nonces up to `time`, and lets none of them come again."
  @spec sweep(t, integer) :: :ok
  def sweep(%__MODULE__{table: table} = window, time) do
    raise_floor(window.floor, time)

    case :ets.first(table) do
      {made, _random} = oldest when made <= time ->
        :ets.delete(table, oldest)
        sweep(window, time)

      _younger_or_none ->
        :ok
    end
  end
end
