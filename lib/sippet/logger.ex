defmodule Sippet.Logger do
  @moduledoc """
  Logs what happens in the stacks of this VM: a consumer of `Sippet.Telemetry`, with or without the package `:telemetry`.

      Sippet.Logger.attach()
      Sippet.Logger.attach(level: :debug, messages: true)

  The library itself logs nothing but what a core raises. What is logged, by level:

  | level | event |
  |---|---|
  | `:warning` | a transport could not send, a limit was met, overload begins and ends |
  | `:info` | a transaction failed: by a timeout, without ACK, by its transport |
  | `:debug` | a request was refused, a message was rejected, a transaction ended; and messages, if they are asked for |

  At most `:max_per_second` lines are written in a second, by all stacks together; how many more there would have been is told
  at its end.

  Of a message its head is logged, without credentials: the parameters of Authorization, Proxy-Authorization,
  Authentication-Info and Proxy-Authentication-Info, and passwords in URIs, are replaced by `[redacted]`. Of a body only the length
  is told: it may hold keys (RFC 4568).
  """

  require Logger

  alias Sippet.Logger.{Budget, Text}
  alias Sippet.Telemetry

  @handler __MODULE__
  @levels [:debug, :info, :warning]

  @warning [
    [:sippet, :transport, :error],
    [:sippet, :limit, :reached],
    [:sippet, :overload, :start],
    [:sippet, :overload, :stop]
  ]
  @info [[:sippet, :transaction, :stop]]
  @debug [[:sippet, :message, :rejected], [:sippet, :request, :refused]]
  @messages [[:sippet, :message, :received], [:sippet, :message, :sent]]

  @typedoc """
  An option of `attach/1`.

    * `:level` - the lowest level to log, `:debug`, `:info` or `:warning`; default `:info`
    * `:messages` - log messages too, which takes level `:debug`; default `false`
    * `:max_per_second` - how many lines; default `10`
    * `:stack` - only this stack; default all
  """
  @type option ::
          {:level, :debug | :info | :warning}
          | {:messages, boolean}
          | {:max_per_second, pos_integer}
          | {:stack, Sippet.sippet() | nil}

  @doc """
  Begins to log. Options as in `t:option/0`; one that is not known, or not of its kind, raises `ArgumentError`.

  Returns `{:error, :already_attached}` if it logs already.
  """
  @spec attach([option]) :: :ok | {:error, :already_attached}
  def attach(options \\ []) do
    options =
      Keyword.validate!(options, level: :info, messages: false, max_per_second: 10, stack: nil)

    check!(:level, options[:level] in @levels, "one of #{inspect(@levels)}", options)
    check!(:messages, is_boolean(options[:messages]), "a boolean", options)
    max_per_second = options[:max_per_second]

    check!(
      :max_per_second,
      is_integer(max_per_second) and max_per_second > 0,
      "a positive integer",
      options
    )

    check!(:stack, is_atom(options[:stack]), "an atom", options)
    budget = Budget.new(max_per_second, :warning, "lines of Sippet.Logger in this second")
    config = %{stack: options[:stack], level: options[:level], budget: budget}
    events = events(options[:level], options[:messages])

    with {:error, :already_exists} <-
           Telemetry.attach_many(@handler, events, &__MODULE__.handle/4, config),
         do: {:error, :already_attached}
  end

  defp check!(_name, true, _expected, _options), do: :ok

  defp check!(name, false, expected, options) do
    raise ArgumentError,
          "expected :#{name} to be #{expected}, got: #{inspect(options[name])}"
  end

  @doc "Ends the logging. Returns `{:error, :not_attached}` if there is none."
  @spec detach() :: :ok | {:error, :not_attached}
  def detach do
    with {:error, :not_found} <- Telemetry.detach(@handler), do: {:error, :not_attached}
  end

  defp events(:warning, _messages), do: @warning
  defp events(:info, _messages), do: @warning ++ @info
  defp events(:debug, false), do: @warning ++ @info ++ @debug
  defp events(:debug, true), do: @warning ++ @info ++ @debug ++ @messages

  @doc false
  def handle(name, measurements, metadata, config) do
    level = level(name, metadata)

    if (config.stack == nil or config.stack == metadata.stack) and
         Logger.compare_levels(level, config.level) != :lt do
      Budget.spend(config.budget, fn ->
        Logger.log(level, "#{inspect(metadata.stack)}: #{Text.of(name, measurements, metadata)}")
      end)
    end
  end

  defp level([:sippet, :transaction, :stop], %{reason: reason})
       when reason in [:timeout, :no_ack, :transport_error],
       do: :info

  defp level(name, _metadata) when name in @warning, do: :warning
  defp level(_name, _metadata), do: :debug
end
