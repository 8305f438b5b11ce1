defmodule Sippet.Flow do
  @moduledoc """
  The way a message came: a transport of the stack, the connection within it, and the peer's address.

  `source` of a received message is one, and `target` of a message to be sent may be: it then leaves by the same socket
  or connection, to that address. Treat it as a value to be kept and handed back; its fields are for inspection.

    * `transport` - the number of the transport in its stack, as in `Sippet.Transport.list/1`
    * `connection` - the number of the connection in its transport, 0 for UDP
    * `remote` - `{ip, port}` of the peer

  ## Tokens

  A proxy that has to find a flow again writes it into the user part of its Path or Record-Route (RFC 5626 §5.1, §5.3), and
  reads it there when a request comes back:

      path = %Sippet.URI{scheme: "sip", userinfo: Sippet.Flow.to_token(:my_stack, register.source), host: "edge.example.com"}

      case Sippet.Flow.from_token(:my_stack, uri.userinfo) do
        {:ok, flow} -> Sippet.send(:my_stack, %{request | target: flow})
        {:error, error} -> Sippet.Message.to_response(request, Sippet.FlowTokenError.status_code(error))
      end
  """

  alias Sippet.{FlowTokenError, Stack}
  alias Sippet.Transport.FlowToken

  @enforce_keys [:transport, :remote]
  defstruct transport: nil, connection: 0, remote: nil

  @type t :: %__MODULE__{
          transport: non_neg_integer,
          connection: non_neg_integer,
          remote: {:inet.ip_address(), :inet.port_number()}
        }

  @doc """
  A flow as text, for the user part of a URI: 42 to 79 letters, digits, `-` and `_`.

  It is signed, by the option `:flow_token_key` of the stack. Without that the VM makes a key when it first needs one, so that
  what was signed before a restart is refused as forged (403) and not as failed (430); with several VMs they have to share it.
  Whoever reads a token learns from it the peer's address, and nothing about the stack's.

  A flow over UDP is the same one after a restart, and on another machine that has taken over the local address. A connection is
  on one VM only.
  """
  @spec to_token(Sippet.sippet(), t) :: String.t()
  def to_token(sippet, %__MODULE__{} = flow) when is_atom(sippet),
    do: FlowToken.encode(Stack.fetch!(sippet), flow)

  @doc """
  The flow of a token.

  `token` may be anything that a peer has sent. Returns `{:ok, flow}`, or `{:error, %Sippet.FlowTokenError{}}`: with reason
  `:invalid_token` where no key of the stack has signed it, which takes as long wherever it is wrong, and with `:flow_failed`
  where its connection is closed. It never leads to another peer than the one it was made for. RFC 5626 §5.2, §5.3.
  """
  @spec from_token(Sippet.sippet(), binary | nil) :: {:ok, t} | {:error, FlowTokenError.t()}
  def from_token(sippet, token) when is_atom(sippet) and is_binary(token),
    do: FlowToken.decode(Stack.fetch!(sippet), token)

  # A URI without a user part.
  def from_token(sippet, nil) when is_atom(sippet),
    do: {:error, %FlowTokenError{reason: :invalid_token}}
end
