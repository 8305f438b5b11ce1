defmodule Sippet.Trace.Event do
  @moduledoc """
  A message as it went over the wire, in either direction, or bytes that are none: what `Sippet.Trace` keeps.

    * `number` - in the order in which the trace took them, from 1
    * `time` - when, in microseconds since 1970 (UTC): of a received message when the stack had read it, of one that was sent
      when it was handed to the transport
    * `direction` - `:received` or `:sent`
    * `outcome` - what became of it, see `t:outcome/0`
    * `stack` - the name of the stack
    * `protocol` - `:udp`, `:tcp` ...; nil where the transport was gone
    * `local` - `{ip, port}` that the transport is bound to: of a connection the address of its listener. nil where there is none.
    * `remote` - `{ip, port}` of the peer; a host as a string where the transport resolves it
    * `call_id` - the Call-ID; of bytes that are no message what stands in a line of that name; nil without one
    * `method` - of a request, or that of a response's CSeq; an atom if it is known, else a string; nil where it is no message
    * `status_code` - of a response, else nil
    * `users` - the user parts of From, To and, of a request, the Request-URI
    * `data` - the bytes, without credentials unless the trace keeps them
    * `bytes` - how many there were; more than in `data` where `truncated`
    * `truncated` - the rest was more than the trace keeps of a message
  """

  alias Sippet.Message
  alias Sippet.Message.RequestLine
  alias Sippet.Trace.Label

  @enforce_keys [:time, :direction, :remote, :data]
  defstruct [:time, :direction, :protocol, :local, :remote, :stack, :call_id, :method] ++
              [status_code: nil, users: [], outcome: :ok, number: 0, bytes: 0] ++
              [truncated: false, data: nil]

  @typedoc """
    * `:ok` - it was received as a message, or handed to its transport
    * `{:rejected, reason}` - the stack took it for no message, or one unfit: a `t:Sippet.ParseError.reason/0`,
      `:method_mismatch` or `:broken`, as `Sippet.Telemetry` has them
    * `{:refused, reason}` - a request that was answered 503: `:overload`, `:max_transactions`, `:max_processes`, `:draining` or
      `:no_core`
    * `{:failed, reason}` - the transport did not take it
  """
  @type outcome :: :ok | {:rejected | :refused | :failed, reason :: term}

  @type t :: %__MODULE__{
          number: non_neg_integer,
          time: integer,
          direction: :received | :sent,
          outcome: outcome,
          stack: Sippet.sippet() | nil,
          protocol: atom,
          local: {:inet.ip_address(), :inet.port_number()} | nil,
          remote: {:inet.ip_address() | String.t(), :inet.port_number()},
          call_id: String.t() | nil,
          method: atom | String.t() | nil,
          status_code: 100..699 | nil,
          users: [String.t()],
          data: binary,
          bytes: non_neg_integer,
          truncated: boolean
        }

  # What a stream may bring by default (`Sippet.start_link/1`); of longer ones only the Call-ID is found.
  @max_parsed 1_048_576

  @doc """
  An event of these fields: `:time`, `:direction`, `:remote` and `:data` at least. What the bytes tell is filled in.

      iex> event = Sippet.Trace.Event.new(
      ...>   time: 0, direction: :received, protocol: :udp, remote: {{192, 0, 2, 1}, 5060}, data: \"""
      ...> OPTIONS sip:bob:zanzibar@biloxi.example SIP/2.0
      ...> Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776asdhds
      ...> From: <sip:alice@atlanta.example>;tag=1928301774
      ...> To: <sip:bob@biloxi.example>
      ...> Call-ID: a84b4c76e66710
      ...> CSeq: 1 OPTIONS
      ...>
      ...> \""")
      iex> {event.method, event.call_id, event.users}
      {:options, "a84b4c76e66710", ["alice", "bob"]}

  Nothing is redacted. Raises `ArgumentError` or `KeyError` for fields that are missing or not known.
  """
  @spec new(Enumerable.t()) :: t
  def new(fields) do
    event = struct!(__MODULE__, fields)
    describe(%{event | bytes: byte_size(event.data)})
  end

  @doc """
  The message in short, as it stands on the arrow of a ladder: printable ASCII of at most 72 characters, whatever the bytes are.

      iex> Sippet.Trace.Event.summary(Sippet.Trace.Event.new(
      ...>   time: 0, direction: :received, remote: {{192, 0, 2, 1}, 5060}, data: "\\e[31m"))
      ~S(no message: "\\x1B[31m")
  """
  @spec summary(t) :: String.t()
  def summary(event), do: Label.of(event.data, event.method)

  defp describe(%{data: data} = event) do
    case Message.parse(data, framing: :datagram, max_message_bytes: @max_parsed) do
      {:ok, %{start_line: line, headers: headers}} ->
        {_number, method} = headers.cseq
        described = %{event | call_id: :binary.copy(headers.call_id), users: users(line, headers)}

        case line do
          %RequestLine{method: method} -> %{described | method: method}
          %{status_code: status_code} -> %{described | method: method, status_code: status_code}
        end

      {:error, _error} ->
        %{event | call_id: call_id(data)}
    end
  end

  # The strings of a message may be parts of its bytes, which are not kept.
  defp users(line, %{from: {_, from, _}, to: {_, to, _}}) do
    for %Sippet.URI{userinfo: userinfo} when userinfo != nil <-
          [from, to, Map.get(line, :request_uri)],
        uniq: true do
      userinfo |> :binary.split(":") |> hd() |> :binary.copy()
    end
  end

  defp call_id(data) do
    case Regex.run(~r/^(?:call-id|i)[ \t]*+:[ \t]*+([^\s]++)/im, data, capture: :all_but_first) do
      [call_id] -> :binary.copy(call_id)
      nil -> nil
    end
  end
end
