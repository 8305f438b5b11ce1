defmodule Sippet.Test.Repetition do
  # What a busy machine adds to a conversation: the timers of a stack go by the clock, so that it repeats itself, and sends a
  # 100, where the test or its core is kept waiting for the processor.
  @moduledoc false

  @doc "How long to wait for what has to come, in ms; no test passes by waiting that long."
  def deadline_ms, do: 10_000

  @doc "Whether this message has come by this socket before, byte for byte, to this process."
  def heard?(socket, text),
    do: :erlang.md5(text) in Process.get({__MODULE__, socket}, MapSet.new())

  @doc """
  Whether a message is to be passed over by who awaits one that begins with `start`.

  That is so of what begins otherwise and has come before, byte for byte, from this socket to this process, and of a 100
  (RFC 3261 §17.2.1). What comes the first time never is, but for the 100.
  """
  def passed_over?(socket, text, start) do
    key = {__MODULE__, socket}
    hash = :erlang.md5(text)
    heard = Process.get(key, MapSet.new())
    Process.put(key, MapSet.put(heard, hash))

    not String.starts_with?(text, start) and
      (hash in heard or String.starts_with?(text, "SIP/2.0 100 "))
  end
end
