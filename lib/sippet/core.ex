defmodule Sippet.Core do
  @moduledoc """
  The behaviour of a core: the layer above transactions, which RFC 3261 §5 calls the transaction user.

  A core is a module; `Sippet.register_core/2` makes it the one that a stack calls:

      defmodule MyApp.Core do
        use Sippet.Core

        def receive_request(%{start_line: %{method: :options}} = request, _server_key) do
          Sippet.send(:my_stack, Sippet.Message.to_response(request, 200))
        end

        def receive_request(%{start_line: %{method: :ack}}, nil), do: :ok

        def receive_request(request, _server_key) do
          Sippet.send(:my_stack, Sippet.Message.to_response(request, 501))
        end

        def receive_response(_response, _client_key), do: :ok

        def receive_error(_reason, _key), do: :ok
      end

  ## Where callbacks run

  Each transaction that has something for the core gets a process of its own for as long as there is something: its
  callbacks never overlap and keep their order, and one that blocks holds up no other transaction. Between transactions
  there is no order, as there is none on the network, except that a CANCEL is delivered only after the callback of its
  INVITE has begun, and that a request waits up to a second for ACKs of the same Call-ID that came before it.

  Return values are ignored. A callback that raises, exits, throws or is killed costs the transaction a
  `500 Server Internal Error`, if a request was owed a final response, and nothing else; what is raised is logged.
  """

  alias Sippet.Message
  alias Sippet.Transactions.{Client, Server}

  @typedoc """
  Why a transaction failed.

    * `:timeout` - no final response came (timers B and F, or an INVITE that stayed provisional), or no ACK to a final
      response other than 2xx (timer H). Take it for a 408 (RFC 3261 §8.1.3.1).
    * `:no_ack` - no ACK came for a 2xx that was sent with `until: :ack` (RFC 3261 §13.3.1.4); told once for each such
      2xx. The dialog exists: end it with a BYE.
    * anything else - the transport could not send, in its words: `:econnrefused`, `:emsgsize` ... Take it for a 503.
  """
  @type reason :: :timeout | :no_ack | term

  @doc """
  A request arrived.

  `server_key` names the server transaction that waits for the response: of a CANCEL it is the key of the INVITE that is
  to be cancelled. It is `nil` for the ACK to a 2xx, which is not answered. Requests that repeat one are absorbed.

  Runs in a process of the transaction; see the module's documentation. RFC 3261 §8.2.
  """
  @callback receive_request(request :: Message.request(), server_key :: Server.Key.t() | nil) ::
              any

  @doc """
  A response arrived.

  `client_key` names the client transaction of the request: every provisional response, the first final one and each 2xx
  to an INVITE with a To tag of its own are delivered with it. It is `nil` for a response that matches no transaction,
  which is only delivered where the stack has `stray_responses: :deliver`.

  The responses to what `Sippet.request/3` sent go to its caller. Only a 2xx to an INVITE comes here if it is that of another
  fork than the caller's, or if the caller is dead: it wants an ACK, and mostly a BYE.

  Runs in a process of the transaction; see the module's documentation. RFC 3261 §8.1.3.
  """
  @callback receive_response(response :: Message.response(), client_key :: Client.Key.t() | nil) ::
              any

  @doc """
  A transaction failed: `t:reason/0` tells how, `key` which.

  The key of a server transaction is the one that `c:receive_request/2` had, but of a CANCEL: what becomes of the response
  to it is told by its own key, whose method is `:cancel`, so that nobody takes it for the response to the INVITE.

  Runs in a process of the transaction; see the module's documentation. RFC 3261 §8.1.3.1, §17.1.4, §17.2.4.
  """
  @callback receive_error(reason, key :: Client.Key.t() | Server.Key.t()) :: any

  @typedoc """
  Why a connection was closed.

    * `:closed` - by the peer
    * `:idle_timeout`, `:message_timeout` - nothing came for too long, or too little of a message
    * `:keep_alive_timeout` - what `Sippet.keep_alive/3` asks was not answered
    * `:mapped_address_changed` - over UDP: a NAT has given the flow another address, so that nobody finds it by the one that he has
      (RFC 5626 §4.4.2)
    * `{:stun_error, status_code}` - over UDP: the peer does not keep flows alive by STUN
    * `:broken` - what came was no SIP
    * `:send_timeout`, `:send_queue_full` - the peer did not read what it was sent
    * `:shutdown` - its transport stops
    * `:killed` - its process ended otherwise
    * any other atom or term - of the operating system or of TLS: `:econnreset`, `:etimedout`, `{:tls_alert, name}` ...
  """
  @type flow_closed_reason ::
          :closed
          | :idle_timeout
          | :message_timeout
          | :keep_alive_timeout
          | :mapped_address_changed
          | {:stun_error, 300..699}
          | :broken
          | :send_timeout
          | :send_queue_full
          | :shutdown
          | :killed
          | term

  @doc """
  A connection is closed: its flow leads nowhere from now on. Optional.

  It is called for connections that messages came or went by, in a process of its own each; what happens in it harms nothing.
  UDP has no connections; there it is called for flows that `Sippet.keep_alive/3` keeps, when they have failed.
  Requests that still waited for an answer by it fail by themselves. RFC 5626 §4.2.1.
  """
  @callback flow_closed(Sippet.Flow.t(), flow_closed_reason) :: any

  @optional_callbacks flow_closed: 2

  @doc false
  defmacro __using__(_options) do
    quote location: :keep do
      unless Sippet.Core in List.wrap(Module.get_attribute(__MODULE__, :behaviour)),
        do: @behaviour(Sippet.Core)

      @doc false
      def receive_request(_request, _server_key),
        do: raise("#{inspect(__MODULE__)} has no receive_request/2")

      @doc false
      def receive_response(_response, _client_key),
        do: raise("#{inspect(__MODULE__)} has no receive_response/2")

      @doc false
      def receive_error(_reason, _key),
        do: raise("#{inspect(__MODULE__)} has no receive_error/2")

      defoverridable receive_request: 2, receive_response: 2, receive_error: 2
    end
  end
end
