defmodule Sippet.Test.Registrar do
  # A server core as the demo has it: OPTIONS, REGISTER, INVITE, BYE, CANCEL, MESSAGE; and RAISE, which it cannot bear.
  @moduledoc false

  alias Sippet.Message

  @doc "Makes it the core of a stack."
  def register(stack), do: Sippet.Test.Core.register(stack, &handle(stack, &1, &2, &3))

  defp handle(_stack, :request, _ack, nil), do: :ok

  defp handle(stack, :request, request, _key) do
    case request.start_line.method do
      :invite ->
        Sippet.send(stack, Message.to_response(request, 180))
        Sippet.send(stack, Message.to_response(request, 200), until: :ack)

      method when method in [:options, :register, :bye, :cancel, :message] ->
        Sippet.send(stack, Message.to_response(request, 200))

      "RAISE" ->
        raise "on purpose"

      _other ->
        Sippet.send(stack, Message.to_response(request, 405))
    end
  end

  defp handle(_stack, :error, _reason, _key), do: :ok
end
