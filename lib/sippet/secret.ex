defmodule Sippet.Secret do
  # Random bytes that a VM has once, for as long as it runs: keys of what is signed or hashed for nobody but itself, and what
  # tells it from the VM that is there after a restart. Asked for by name.
  @moduledoc false

  @bytes 32

  @doc "The secret of this name."
  @spec fetch(atom) :: <<_::256>>
  def fetch(name) do
    # Made by one process at a time, so that nobody uses one that another replaces.
    with nil <- :persistent_term.get({__MODULE__, name}, nil),
         do: :global.trans({{__MODULE__, name}, self()}, fn -> make(name) end, [node()])
  end

  defp make(name) do
    with nil <- :persistent_term.get({__MODULE__, name}, nil) do
      secret = :crypto.strong_rand_bytes(@bytes)
      :persistent_term.put({__MODULE__, name}, secret)
      secret
    end
  end
end
