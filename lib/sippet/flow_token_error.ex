defmodule Sippet.FlowTokenError do
  @moduledoc """
  The text that `Sippet.Flow.from_token/2` was given leads nowhere.

    * `reason` - see `t:reason/0`
  """

  @typedoc """
    * `:invalid_token` - it is no token, or was not signed by a key of the stack: answer 403 (RFC 5626 §5.3)
    * `:flow_failed` - it was one, and its connection is closed or its transport gone: answer 430 (RFC 5626 §5.3.1)
  """
  @type reason :: :invalid_token | :flow_failed

  @type t :: %__MODULE__{reason: reason}

  defexception [:reason]

  @doc """
  The status code that a request with this token earns.

      iex> Sippet.FlowTokenError.status_code(%Sippet.FlowTokenError{reason: :flow_failed})
      430
  """
  @spec status_code(t) :: 403 | 430
  def status_code(%__MODULE__{reason: :invalid_token}), do: 403
  def status_code(%__MODULE__{reason: :flow_failed}), do: 430

  @impl true
  def message(%__MODULE__{reason: :invalid_token}), do: "not a flow token of this stack"
  def message(%__MODULE__{reason: :flow_failed}), do: "the flow of the token has failed"
end
