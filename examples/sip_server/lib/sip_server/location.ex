defmodule SipServer.Location do
  @moduledoc """
  The behaviour of a location store: where the users are (RFC 3261 §10). A user is a name, in whatever domain of the server, and
  has bindings, each with the time when it ends. `SipServer.Location.ETS` keeps them in memory; a module of yours may keep them in a
  database, and is named in the configuration as `location:`.
  """

  defmodule Binding do
    @moduledoc """
    A binding (RFC 3261 §10.3).

      * `contact` - the value of Contact, as it came
      * `key` - by what it is found again: its URI, or `{instance, reg_id}` with outbound (RFC 5626 §6)
      * `call_id`, `cseq` - of the REGISTER that it is from
      * `until` - seconds since 1970
      * `path` - the values of Path (RFC 3327)
      * `flow`, `protocol` - the flow that leads to it, nil where its URI does, and the protocol it came by
    """
    @enforce_keys [:contact, :key, :call_id, :cseq, :until]
    defstruct @enforce_keys ++ [path: [], flow: nil, protocol: nil]
  end

  @type user :: String.t()

  @doc "The bindings of a user that have not ended. Runs in the process of the request, and may block it."
  @callback fetch(user) :: [%Binding{}]

  @doc """
  Changes the bindings of a user by a function that gets those there are: all of it or nothing, and one such change after
  the other. Returns what the function does.
  """
  @callback update(user, ([%Binding{}] -> {:ok, [%Binding{}]} | {:error, reason})) ::
              {:ok, [%Binding{}]} | {:error, reason}
            when reason: term

  @doc "Forgets the bindings of a flow that has failed (RFC 5626 §5.3)."
  @callback forget_flow(Sippet.Flow.t()) :: :ok
end
