defmodule Sippet.Transport.Attachment do
  # A transport as a part of its stack, for as long as that lives, and again when it has been started again. Kept by the
  # process of the transport, which hands on `{:DOWN, monitor, ...}` and `{:await_stack, deadline}`:
  #
  #     def handle_info({:DOWN, monitor, :process, _, _}, %{attachment: %{monitor: monitor}} = state),
  #       do: attached(Attachment.lost(state.attachment), state)
  #
  #     def handle_info({:await_stack, deadline}, state),
  #       do: attached(Attachment.renew(state.attachment, deadline), state)
  @moduledoc false

  alias Sippet.{Stack, Transport}

  # How long a stack may take to be started again, and how often that is looked for.
  @stack_wait_ms 1_000
  @stack_poll_ms 20

  @enforce_keys [:name, :attributes, :stack, :transport, :monitor]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          name: Sippet.sippet(),
          attributes: keyword,
          stack: Stack.t(),
          transport: Transport.t(),
          monitor: reference
        }

  @doc "Makes it a transport of the stack. Attributes as for `Sippet.Transport.register/2`; raises if there is no such stack."
  @spec new(Sippet.sippet(), keyword) :: t
  def new(name, attributes) do
    # In this order: if the stack is another one meanwhile, the monitor tells.
    monitor = Transport.monitor(name)
    {:ok, transport} = Transport.register(name, attributes)

    %__MODULE__{
      name: name,
      attributes: attributes,
      stack: Stack.fetch!(name),
      transport: transport,
      monitor: monitor
    }
  end

  @doc """
  The stack has died. Under one supervisor it is started again, which must not be hindered by a transport that fails
  meanwhile: the sockets wait for it.
  """
  @spec lost(t) :: {:ok, t} | :wait | :gone
  def lost(attachment), do: renew(attachment, now() + @stack_wait_ms)

  @doc "Looks for it: `:wait` when the process will be asked again by a message, `:gone` when it stays away."
  @spec renew(t, integer) :: {:ok, t} | :wait | :gone
  def renew(attachment, deadline) do
    {:ok, new(attachment.name, attachment.attributes)}
  catch
    # There is no such stack, or not all of it.
    _kind, _reason ->
      if now() < deadline do
        Process.send_after(self(), {:await_stack, deadline}, @stack_poll_ms)
        :wait
      else
        :gone
      end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
