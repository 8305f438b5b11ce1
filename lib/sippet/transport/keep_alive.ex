defmodule Sippet.Transport.KeepAlive do
  # When a flow is kept alive, and when it is given up: the options of Sippet.keep_alive/3, the intervals (RFC 5626 §4.4) and
  # the pings of a connection (§4.4.1). The process of the connection hands on the timers, `{:timeout, timer, :keep_alive}`.
  # What UDP has for it is Sippet.Transport.Binding.
  @moduledoc false

  # Where nobody says how often: 95 to 120 s with connections (§4.4.1), 24 to 29 s without (§4.4.2).
  @defaults %{connection: {95_000, 120_000}, datagram: {24_000, 29_000}}

  # §4.4.1
  @pong_timeout_ms 10_000

  # RFC 8489 §6.2.1
  @rto_ms 500

  @typedoc "Validated options; `interval` nil where nobody says how often, `:infinity` for never."
  @type options :: %{
          interval: pos_integer | :infinity | nil,
          pong_timeout: pos_integer,
          rto: pos_integer
        }

  # state: :resting between pings; :waiting for a pong; :overdue when it is late, but a message is under way.
  @enforce_keys [:options, :state, :timer]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          options: options,
          state: :resting | :waiting | :overdue,
          timer: reference
        }

  @doc "The options of `Sippet.keep_alive/3`; raises `ArgumentError` for one that is not known or not of its kind."
  @spec validate!(keyword) :: options
  def validate!(options) do
    Enum.reduce(
      options,
      %{interval: nil, pong_timeout: @pong_timeout_ms, rto: @rto_ms},
      fn
        {:interval, interval}, options when interval in [nil, :infinity] ->
          %{options | interval: interval}

        {name, value}, options
        when name in [:interval, :pong_timeout, :rto] and is_integer(value) and value > 0 ->
          %{options | name => value}

        {name, value}, _options when name in [:interval, :pong_timeout, :rto] ->
          raise ArgumentError,
                "expected :#{name} to be a positive number of milliseconds, got: #{inspect(value)}"

        other, _options ->
          raise ArgumentError,
                "expected options among :interval, :pong_timeout and :rto, got: #{inspect(other)}"
      end
    )
  end

  @doc "How long until the next one: between 80 and 100 percent of the interval (§4.4), at random."
  @spec delay(pos_integer | nil, :connection | :datagram) :: pos_integer
  def delay(nil, kind) do
    {least, most} = Map.fetch!(@defaults, kind)
    least + :rand.uniform(most - least + 1) - 1
  end

  def delay(interval, _kind) do
    least = div(4 * interval + 4, 5)
    least + :rand.uniform(interval - least + 1) - 1
  end

  @doc "Begins, with these options, or ends what was begun."
  @spec start(t | nil, options) :: t | nil
  def start(keep_alive, options) do
    stop(keep_alive)
    if options.interval != :infinity, do: rest(options)
  end

  @doc "Ends what was begun."
  @spec stop(t | nil) :: :ok
  def stop(nil), do: :ok

  def stop(%__MODULE__{timer: timer}) do
    _ = :erlang.cancel_timer(timer)
    :ok
  end

  defp rest(options) do
    timer = start_timer(delay(options.interval, :connection))
    %__MODULE__{options: options, state: :resting, timer: timer}
  end

  defp start_timer(milliseconds), do: :erlang.start_timer(milliseconds, self(), :keep_alive)

  @doc """
  The timer has fired: `:ping` is to be sent, or `:failed` is the connection, unless it is in the midst of a message.
  """
  @spec handle_timeout(t, boolean) :: {:ping | :wait | :failed, t}
  def handle_timeout(%__MODULE__{state: :resting, options: options} = keep_alive, _receiving),
    do: {:ping, %{keep_alive | state: :waiting, timer: start_timer(options.pong_timeout)}}

  def handle_timeout(keep_alive, true), do: {:wait, %{keep_alive | state: :overdue}}
  def handle_timeout(keep_alive, false), do: {:failed, keep_alive}

  @doc "Something has come; whether it was a pong."
  @spec handle_received(t | nil, boolean) :: t | nil
  def handle_received(%__MODULE__{state: state} = keep_alive, true) when state != :resting do
    stop(keep_alive)
    rest(keep_alive.options)
  end

  def handle_received(keep_alive, _pong), do: keep_alive

  @doc "Whether the message is over that a pong was still waited for behind."
  @spec overdue?(t | nil, boolean) :: boolean
  def overdue?(%__MODULE__{state: :overdue}, receiving), do: not receiving
  def overdue?(_keep_alive, _receiving), do: false
end
