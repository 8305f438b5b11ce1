defmodule Demo.Calls do
  @moduledoc """
  The calls that were answered: the dialog of each, by what its messages are known by (§12).

  A dialog is data, and two requests within one may come at a time: who changes one has it alone, in the process of this
  agent.
  """

  use Agent

  alias Sippet.{Dialog, DialogError}

  def start_link(_options), do: Agent.start_link(fn -> %{} end, name: __MODULE__)

  @doc "How many there are."
  def count, do: Agent.get(__MODULE__, &map_size/1)

  @doc "Keeps the dialog that the INVITE of the transaction `key` has made, and where the other end is."
  def put(dialog, key, peer_ip),
    do: Agent.update(__MODULE__, &Map.put(&1, Dialog.id(dialog), {dialog, key, peer_ip}))

  @doc """
  Changes a dialog by a function that returns `{:ok, dialog}` or an error, and returns what that does. One that ends by it
  is forgotten. The error where there is none is that of a request which earns a 481 (§12.2.2).
  """
  def update(id, change) do
    Agent.get_and_update(__MODULE__, fn calls ->
      with %{^id => {dialog, key, peer_ip}} <- calls, {:ok, dialog} <- change.(dialog) do
        if dialog.state == :terminated,
          do: {{:ok, dialog}, Map.delete(calls, id)},
          else: {{:ok, dialog}, %{calls | id => {dialog, key, peer_ip}}}
      else
        {:error, error} -> {{:error, error}, calls}
        _none -> {{:error, %DialogError{reason: :no_dialog, status_code: 481}}, calls}
      end
    end)
  end

  @doc "Forgets the call that the INVITE of this transaction began, and returns `{dialog, peer_ip}`; nil if there is none."
  def take(key) do
    Agent.get_and_update(__MODULE__, fn calls ->
      case Enum.find(calls, &match?({_id, {_dialog, ^key, _peer_ip}}, &1)) do
        {id, {dialog, _key, peer_ip}} -> {{dialog, peer_ip}, Map.delete(calls, id)}
        nil -> {nil, calls}
      end
    end)
  end
end
