defmodule Sippet.Transport.Binding do
  # A flow over UDP that is kept alive by STUN Binding requests (RFC 5626 §4.4.2): one transaction after the other (RFC 8489
  # §6.2.1), and the address that the peer sees, which must not change. Kept by the process of the transport, which sends
  # the requests and hands on the timers, `{:timeout, timer, {:binding, remote}}`.
  @moduledoc false

  alias Sippet.Transport.{KeepAlive, STUN}

  # Rc and Rm: seven requests, each after twice the time; 16 times RTO are left behind the last. 39.5 s in all.
  @requests 7
  @last_wait 16

  # sent: how many requests of the transaction. next_at: when the next transaction is due.
  @enforce_keys [:remote, :options]
  defstruct @enforce_keys ++
              [transaction_id: nil, sent: 0, next_at: nil, mapped: nil, timer: nil]

  @type t :: %__MODULE__{
          remote: STUN.address(),
          options: KeepAlive.options(),
          transaction_id: <<_::96>> | nil,
          sent: non_neg_integer,
          next_at: integer | nil,
          mapped: STUN.address() | nil,
          timer: reference | nil
        }

  @typedoc "Why the flow has failed; see `t:Sippet.Core.flow_closed_reason/0`."
  @type failure :: :keep_alive_timeout | :mapped_address_changed | {:stun_error, 300..699}

  @doc "Begins at once: the bytes to send are the second."
  @spec start(STUN.address(), KeepAlive.options()) :: {t, binary}
  def start(remote, options), do: ask(%__MODULE__{remote: remote, options: options})

  @doc "Goes on with other options. What is known of the address stays."
  @spec restart(t, KeepAlive.options()) :: {t, binary}
  def restart(binding, options) do
    stop(binding)
    ask(%{binding | options: options})
  end

  @doc "Ends it."
  @spec stop(t) :: :ok
  def stop(%__MODULE__{timer: timer}) do
    _ = :erlang.cancel_timer(timer)
    :ok
  end

  defp ask(binding) do
    next_at = now() + KeepAlive.delay(binding.options.interval, :datagram)
    repeat(%{binding | transaction_id: :crypto.strong_rand_bytes(12), sent: 0, next_at: next_at})
  end

  defp repeat(%{options: %{rto: rto}} = binding) do
    sent = binding.sent + 1
    wait = if sent < @requests, do: Bitwise.bsl(rto, sent - 1), else: @last_wait * rto
    {arm(%{binding | sent: sent}, wait), STUN.request(binding.transaction_id)}
  end

  defp arm(binding, milliseconds),
    do: %{
      binding
      | timer: :erlang.start_timer(milliseconds, self(), {:binding, binding.remote})
    }

  @doc "Its timer has fired."
  @spec handle_timeout(t) :: {t, binary} | {:failed, failure}
  def handle_timeout(%__MODULE__{transaction_id: nil} = binding), do: ask(binding)
  def handle_timeout(%__MODULE__{sent: @requests}), do: {:failed, :keep_alive_timeout}
  def handle_timeout(binding), do: repeat(binding)

  @doc "A response from the peer; `:ignored` where it answers nothing that was asked."
  @spec handle_response(t, STUN.t()) :: {:ok, t} | {:failed, failure} | :ignored
  def handle_response(
        %__MODULE__{transaction_id: id} = binding,
        %STUN{transaction_id: id} = stun
      ),
      do: judge(binding, stun, STUN.unknown(stun))

  def handle_response(_binding, _other), do: :ignored

  # RFC 8489 §6.3.3: what is not understood in a response makes the transaction fail.
  defp judge(binding, %STUN{class: :success} = response, []) do
    case {STUN.mapped_address(response), binding.mapped} do
      {{:ok, mapped}, known} when known in [nil, mapped] -> {:ok, rest(binding, mapped)}
      {{:ok, _other}, _known} -> {:failed, :mapped_address_changed}
      {:error, _known} -> :ignored
    end
  end

  # A peer that answers so does not keep flows alive, and asking it again changes nothing.
  defp judge(_binding, %STUN{class: :error} = response, _unknown) do
    case STUN.error_code(response) do
      {:ok, code} -> {:failed, {:stun_error, code}}
      :error -> :ignored
    end
  end

  defp judge(_binding, %STUN{class: :success}, _unknown), do: {:failed, {:stun_error, 420}}
  defp judge(_binding, _other, _unknown), do: :ignored

  defp rest(binding, mapped) do
    stop(binding)
    arm(%{binding | transaction_id: nil, mapped: mapped}, max(binding.next_at - now(), 0))
  end

  defp now, do: System.monotonic_time(:millisecond)
end
