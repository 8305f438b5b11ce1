defmodule Sippet.Dialog do
  @moduledoc """
  A dialog: what both ends of a call remember of it, and how requests are made from that (RFC 3261 §12).

  A dialog is plain data. No process belongs to it and no timer, and it refers to no datagram: keep it in a process, in
  an ETS table or in a database, under its `id/1`. Each function takes the dialog and a message and returns the dialog as
  it is then. So a call looks from both sides:

  | the one who calls (UAC) | the one who is called (UAS) |
  |---|---|
  | sends the INVITE | |
  | | `create_uas/3` with the 180 that it is about to send |
  | `create_uac/2` with the 180 | |
  | | `respond/3` with the 200 |
  | `handle_response/2` with the 200 | |
  | `build_ack/3` | |
  | | `handle_request/2` with the ACK |
  | `bye/2`, and any other request by `build_request/3` | the same |
  | | `handle_request/2` with each request, `respond/3` with each response to it |
  | `handle_response/2` with each response | |

      iex> alias Sippet.{Dialog, Message}
      iex> invite = Message.parse!(\"""
      ...> INVITE sip:bob@biloxi.com SIP/2.0
      ...> Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8
      ...> From: Alice <sip:alice@atlanta.com>;tag=1928301774
      ...> To: Bob <sip:bob@biloxi.com>
      ...> Call-ID: a84b4c76e66710
      ...> CSeq: 314159 INVITE
      ...> Contact: <sip:alice@pc33.atlanta.com>
      ...> \""")
      iex> contact = {"", Sippet.URI.parse!("sip:bob@192.0.2.4"), %{}}
      iex> # Bob's telephone rings.
      iex> ringing = invite |> Message.to_response(180) |> Message.put_header(:contact, [contact])
      iex> {:ok, bob} = Dialog.create_uas(invite, ringing)
      iex> {:ok, alice} = Dialog.create_uac(invite, ringing)
      iex> {alice.state, bob.state}
      {:early, :early}
      iex> # He takes the call.
      iex> ok = invite |> Message.to_response(200) |> Message.put_header(:contact, [contact])
      iex> {:ok, bob} = Dialog.respond(bob, invite, ok)
      iex> {:ok, alice} = Dialog.handle_response(alice, ok)
      iex> ack = Dialog.build_ack(alice, invite)
      iex> {to_string(ack.start_line), ack.headers.cseq}
      {"ACK sip:bob@192.0.2.4 SIP/2.0", {314159, :ack}}
      iex> {:ok, bob} = Dialog.handle_request(bob, ack)
      iex> {alice.state, bob.state}
      {:confirmed, :confirmed}
      iex> # He hangs up.
      iex> {bye, bob} = Dialog.bye(bob, via: [{{2, 0}, :udp, {"192.0.2.4", 5060}, %{"branch" => "z9hG4bKnashds10"}}])
      iex> Dialog.id_of(bye) == Dialog.id(alice)
      true
      iex> {:ok, alice} = Dialog.handle_request(alice, bye)
      iex> {:ok, bob} = Dialog.handle_response(bob, Message.to_response(bye, 200))
      iex> {alice.state, bob.state}
      {:terminated, :terminated}

  ## Finding the dialog of a message

  `id_of/1` of a message that was received is the id of its dialog, if it has one. A request that `in_dialog?/1` tells
  to be within a dialog, and whose dialog is not there, earns a 481 (§12.2.2).

  A request that forks on its way has several answers, each with a To tag of its own, and makes as many dialogs: where
  there is none yet for a response, `create_uac/2` makes it of the same INVITE. Each 2xx gets an ACK of its own dialog;
  the calls that are not wanted get a BYE after it (§13.2.2.4). A final response other than 2xx ends all early dialogs
  of its request, whatever its To tag: hand it to each.

  ## What is left to the user

    * storing dialogs, and forgetting those that are `:terminated`
    * a Via with a branch in each request, as for any other: the option `:via`, for the ACK too
    * timers: no answer at all counts as a 408 (`terminate/1`, then a `bye/2` for an INVITE); a session's expiry
    * a CANCEL, which belongs to no dialog (§9.1): `Sippet.cancel/2` sends it; and the 487
    * a Contact in what makes a dialog: in the INVITE, and in every 101-299 to it
    * one INVITE at a time: 491 and 500 where two cross, offer and answer (§14)
    * the other usages of a dialog: a subscription within it ends without it (RFC 5057)
    * where messages go if not where the dialog leads, to a peer behind a NAT for instance: set `target` of the request

  ## Tags that are missing

  Peers of RFC 2543 may leave out their tag. It is `nil` then, and no tag is written (§12.1). Of the own side the tag is
  always there.
  """

  alias Sippet.Dialog.{Creation, Part, Replacement, Request}
  alias Sippet.{DialogError, Message, URI}
  alias Sippet.Message.{Headers, RequestLine, StatusLine}

  defstruct [
    :state,
    :role,
    :method,
    :call_id,
    :local_tag,
    :remote_tag,
    :local_uri,
    :remote_uri,
    :local_target,
    :remote_target,
    :local_cseq,
    :remote_cseq,
    :initial_cseq,
    route_set: [],
    secure: false
  ]

  @typedoc """
  `:early` before the 2xx, `:confirmed` from then on, `:terminated` when all is over. Requests are made of a terminated
  dialog too: a BYE that was challenged must be repeated.
  """
  @type state :: :early | :confirmed | :terminated

  @typedoc "Who sent the request that made the dialog: `:uac` if this side did."
  @type role :: :uac | :uas

  @typedoc "What a dialog is known by at this side (§12). A tag is `nil` where a message has none."
  @type id :: {call_id :: String.t() | nil, local_tag :: tag, remote_tag :: tag}

  @type tag :: String.t() | nil

  @typedoc "The display name and the URI of From or To, without parameters."
  @type name_addr :: {display_name :: String.t(), URI.t()}

  @typedoc """
  The state of a dialog (§12.1):

    * `state`, `role` - see `t:state/0` and `t:role/0`
    * `method` - of the request that made the dialog, `initial_cseq` its number
    * `call_id`, `local_tag`, `remote_tag` - what it is known by
    * `local_uri`, `remote_uri` - the URIs of this side and of the other, with their display names
    * `local_target` - our Contact, which later requests repeat; `nil` while there was none
    * `remote_target` - the URI of the other's Contact: the Request-URI of our requests
    * `local_cseq`, `remote_cseq` - the numbers of the last request from here and from there; `nil` while there was none
    * `route_set` - values of Route, nearest first
    * `secure` - whether it was made with a sips URI over TLS; then our Contact must be sips
  """
  @type t :: %__MODULE__{
          state: state,
          role: role,
          method: Message.method(),
          call_id: String.t(),
          local_tag: String.t(),
          remote_tag: tag,
          local_uri: name_addr,
          remote_uri: name_addr,
          local_target: Headers.address() | nil,
          remote_target: URI.t(),
          local_cseq: non_neg_integer | nil,
          remote_cseq: non_neg_integer | nil,
          initial_cseq: non_neg_integer,
          route_set: [Headers.address()],
          secure: boolean
        }

  @typedoc """
  What goes into a request:

    * `:via` - the values of Via
    * `:headers` - further header fields, a map or a keyword list
    * `:body` - the body; Content-Length is set with it
  """
  @type request_option ::
          {:via, [Headers.via()]} | {:headers, Enumerable.t()} | {:body, binary | nil}

  # §12.2, RFC 3311 §5, RFC 6665 §4.4.1, RFC 5057 §5.4.
  @target_refresh [:invite, :update, :subscribe, :notify, :refer]

  @doc """
  Makes the dialog of a request that was sent and a response to it that was received (§12.1.2).

  A 101-199 with a To tag to an INVITE makes an early dialog, a 2xx a confirmed one. Besides INVITE the methods are
  SUBSCRIBE, REFER and NOTIFY. A peer that leaves out its Contact is sent to where the request went.

  Returns `{:ok, dialog}`, or `{:error, %Sippet.DialogError{}}` with the reason `:not_dialog_forming`, `:missing_tag`,
  `:missing_field` or `:mismatch`.
  """
  @spec create_uac(Message.request(), Message.response()) :: {:ok, t} | {:error, DialogError.t()}
  def create_uac(
        %Message{start_line: %RequestLine{}} = request,
        %Message{start_line: %StatusLine{}} = response
      ),
      do: Creation.uac(request, response)

  @doc """
  Makes the dialog of a request that was received and the response to it that is about to be sent (§12.1.1).

  The response has a To tag and a Contact; `Sippet.Message.to_response/2` gives it the tag and the Record-Route.

  The only option is `:local_cseq`, the number of the last request that was sent to the other side, for the dialog that a
  NOTIFY makes before the response to its SUBSCRIBE is there; without it the first request has number 1.

  Returns `{:ok, dialog}`, or `{:error, %Sippet.DialogError{}}` as `create_uac/2` does, and with `:missing_contact` where
  the request has none: it earns a 400.
  """
  @spec create_uas(Message.request(), Message.response(), local_cseq: non_neg_integer) ::
          {:ok, t} | {:error, DialogError.t()}
  def create_uas(
        %Message{start_line: %RequestLine{}} = request,
        %Message{start_line: %StatusLine{}} = response,
        options \\ []
      ),
      do: Creation.uas(request, response, options)

  @doc """
  What a dialog is known by: the key to store it under.
  """
  @spec id(t) :: id
  def id(%__MODULE__{} = dialog), do: {dialog.call_id, dialog.local_tag, dialog.remote_tag}

  @doc """
  The id of the dialog that a message belongs to, if it belongs to one.

  `role` is what this side is to the message: `:uas` for requests that were received and responses that are sent, `:uac`
  for requests that are sent and responses that were received. By default the message is one that was received.

      iex> bye = Sippet.Message.parse!(\"""
      ...> BYE sip:alice@pc33.atlanta.com SIP/2.0
      ...> From: Bob <sip:bob@biloxi.com>;tag=a6c85cf
      ...> To: Alice <sip:alice@atlanta.com>;tag=1928301774
      ...> Call-ID: a84b4c76e66710
      ...> \""")
      iex> Sippet.Dialog.id_of(bye)
      {"a84b4c76e66710", "1928301774", "a6c85cf"}
      iex> Sippet.Dialog.id_of(bye, :uac)
      {"a84b4c76e66710", "a6c85cf", "1928301774"}
  """
  @spec id_of(Message.t(), role | nil) :: id
  def id_of(message, role \\ nil)
  def id_of(%Message{start_line: %RequestLine{}} = message, nil), do: id_of(message, :uas)
  def id_of(%Message{start_line: %StatusLine{}} = message, nil), do: id_of(message, :uac)

  def id_of(%Message{headers: headers} = message, :uac),
    do: {Map.get(headers, :call_id), Part.tag(message, :from), Part.tag(message, :to)}

  def id_of(%Message{headers: headers} = message, :uas),
    do: {Map.get(headers, :call_id), Part.tag(message, :to), Part.tag(message, :from)}

  @doc """
  Tells whether a message that was received belongs to a dialog.
  """
  @spec matches?(t, Message.t()) :: boolean
  def matches?(%__MODULE__{} = dialog, %Message{} = message), do: id(dialog) == id_of(message)

  @doc """
  Tells whether a request was sent within a dialog: its To has a tag (§12.2.2).
  """
  @spec in_dialog?(Message.request()) :: boolean
  def in_dialog?(%Message{start_line: %RequestLine{}} = request),
    do: Part.tag(request, :to) != nil

  @doc """
  Brings a response that was received into its dialog (§12.2.1.2, §13.2.2.4).

    * A 2xx to the request that made the dialog confirms it. The route set becomes that of the 2xx, and is fixed then.
    * A final response other than 2xx to that request, whatever its To tag, and a 199 (RFC 6228) end an early dialog.
    * A 2xx to a target refresh request (INVITE, UPDATE, SUBSCRIBE, NOTIFY, REFER), or a reliable provisional response
      (RFC 6141), takes the remote target from its Contact.
    * A 481 or 408 ends the dialog. That to a CANCEL does not, nor that to a SUBSCRIBE or NOTIFY in a call, which ends
      a subscription only (RFC 5057).

  Returns `{:ok, dialog}`, or `{:error, %Sippet.DialogError{}}` with the reason `:no_dialog` where the response belongs to
  another dialog.
  """
  @spec handle_response(t, Message.response()) :: {:ok, t} | {:error, DialogError.t()}
  def handle_response(
        %__MODULE__{} = dialog,
        %Message{start_line: %StatusLine{status_code: status_code}} = response
      ) do
    initial = dialog.role == :uac and initial?(dialog, response)

    cond do
      initial and dialog.state != :confirmed and status_code >= 300 and
          same_request?(dialog, response) ->
        {:ok, terminate(dialog)}

      not matches?(dialog, response) ->
        {:error, %DialogError{reason: :no_dialog}}

      initial ->
        {:ok, initial_response(dialog, status_code, response)}

      true ->
        {:ok, later_response(dialog, status_code, response)}
    end
  end

  # A dialog that a BYE ended while it was early needs the 2xx that crosses it for the ACK. Of one that is confirmed the
  # 2xx was there before, and what has changed since stays.
  defp initial_response(%{state: :confirmed} = dialog, _status_code, _response), do: dialog

  defp initial_response(dialog, status_code, response) when status_code in 200..299 do
    state = if dialog.state == :early, do: :confirmed, else: dialog.state
    refresh(%{dialog | state: state, route_set: route_set(response)}, response)
  end

  defp initial_response(dialog, 199, _response), do: terminate(dialog)

  defp initial_response(dialog, status_code, response) do
    if refreshing?(status_code, response), do: refresh(dialog, response), else: dialog
  end

  defp later_response(dialog, status_code, response) do
    {_number, method} = response.headers.cseq

    cond do
      method in @target_refresh and refreshing?(status_code, response) ->
        refresh(dialog, response)

      status_code in [408, 481] and usage(method) in [:any, usage(dialog.method)] ->
        terminate(dialog)

      true ->
        dialog
    end
  end

  defp usage(method) when method in [:subscribe, :notify], do: :subscription
  defp usage(:refer), do: :any
  defp usage(:cancel), do: :none
  defp usage(method) when method in [:invite, :ack, :bye, :prack, :update, :info], do: :invite
  defp usage(_method), do: :any

  @doc """
  Brings a request that was received into its dialog (§12.2.2).

  The CSeq number is checked and kept, except of ACK and CANCEL, which have that of their INVITE. A BYE ends the dialog.
  The remote target stays until the request is accepted: see `respond/3`.

  Returns `{:ok, dialog}`, or `{:error, %Sippet.DialogError{}}` with the status code to answer with, unless the request
  is an ACK:

    * `:no_dialog` - it belongs to another dialog: 481
    * `:terminated` - the dialog has ended, and it is no BYE that crosses another: 481
    * `:out_of_order` - its CSeq number is lower than one that came before: 500
  """
  @spec handle_request(t, Message.request()) :: {:ok, t} | {:error, DialogError.t()}
  def handle_request(
        %__MODULE__{} = dialog,
        %Message{start_line: %RequestLine{method: method}} = request
      ) do
    with :ok <- Part.cseq(request),
         {number, _method} = request.headers.cseq,
         :ok <- accepts(dialog, method, number, request) do
      {:ok, requested(dialog, method, number)}
    end
  end

  defp accepts(dialog, method, number, request) do
    cond do
      not matches?(dialog, request) ->
        {:error, %DialogError{reason: :no_dialog, status_code: 481}}

      method in [:ack, :cancel] ->
        :ok

      dialog.state == :terminated and method != :bye ->
        {:error, %DialogError{reason: :terminated, status_code: 481}}

      dialog.remote_cseq != nil and number < dialog.remote_cseq ->
        {:error, %DialogError{reason: :out_of_order, header: :cseq, status_code: 500}}

      true ->
        :ok
    end
  end

  defp requested(dialog, method, _number) when method in [:ack, :cancel], do: dialog

  defp requested(dialog, :bye, number), do: terminate(%{dialog | remote_cseq: number})
  defp requested(dialog, _method, number), do: %{dialog | remote_cseq: number}

  @doc """
  Brings a response that is about to be sent into the dialog of its request.

    * A 2xx to the request that made the dialog confirms it, any other final response ends it while it is early.
    * A 2xx or reliable provisional response to a target refresh request takes the remote target from the Contact of the
      request: a request that is refused changes nothing (§12.2.2, RFC 6141).

  Returns `{:ok, dialog}`, or `{:error, %Sippet.DialogError{}}` with the reason `:mismatch` where the response is not one
  to the request, or `:no_dialog` where both belong to another dialog.
  """
  @spec respond(t, Message.request(), Message.response()) :: {:ok, t} | {:error, DialogError.t()}
  def respond(
        %__MODULE__{} = dialog,
        %Message{start_line: %RequestLine{}} = request,
        %Message{start_line: %StatusLine{status_code: status_code}} = response
      ) do
    with :ok <- Part.same_transaction(request, response) do
      cond do
        id_of(response, :uas) != id(dialog) ->
          {:error, %DialogError{reason: :no_dialog}}

        dialog.role == :uas and initial?(dialog, response) ->
          {:ok, dialog |> answered(status_code) |> keep_local_target(response)}

        refreshing?(status_code, response) and request.start_line.method in @target_refresh ->
          {:ok, dialog |> refresh(request) |> keep_local_target(response)}

        true ->
          {:ok, dialog}
      end
    end
  end

  defp answered(%{state: :early} = dialog, status_code) do
    cond do
      status_code < 200 -> dialog
      status_code < 300 -> %{dialog | state: :confirmed}
      true -> terminate(dialog)
    end
  end

  defp answered(dialog, _status_code), do: dialog

  @doc """
  Builds a request within the dialog (§12.2.1.1), and gives the dialog with the CSeq number that it took.

  From, To, Call-ID, CSeq, Request-URI and Route are those of the dialog, Max-Forwards is 70, and a target refresh request
  (INVITE, UPDATE, SUBSCRIBE, NOTIFY, REFER) repeats our Contact. A Contact in `:headers` takes its place from then on.

  What is missing before it can be sent is a Via with a branch, unless `:via` gives it; see `t:request_option/0`. A
  header field of the dialog in `:headers` raises `ArgumentError`, and so do the methods ACK (see `build_ack/3`) and CANCEL
  (§9.1), a BYE from the called side before the 2xx (§15), and a Contact that is not sips in a secure dialog.

  Behind a strict router (a route without `lr`) the Request-URI is that router, and the remote target the last Route.
  `target` of the request is set then, since Route does not lead to the next hop.
  """
  @spec build_request(t, Message.method(), [request_option]) :: {Message.request(), t}
  def build_request(%__MODULE__{} = dialog, method, options \\ []) do
    method = if is_binary(method), do: Message.to_method(method), else: method
    check_method!(dialog, method)
    number = (dialog.local_cseq || 0) + 1
    refreshes = method in @target_refresh
    contact = if refreshes, do: dialog.local_target
    request = Request.build(dialog, {number, method}, contact, options)
    dialog = %{dialog | local_cseq: number}
    dialog = if refreshes, do: keep_local_target(dialog, request), else: dialog
    {request, if(method == :bye, do: terminate(dialog), else: dialog)}
  end

  @doc """
  Builds the ACK to a 2xx (§13.2.2.4).

  `invite` is the INVITE that the 2xx answers, the first one or a later one, or its CSeq number. From the INVITE itself the
  ACK gets the credentials as well, as it must have them. Options are as for `build_request/3`; a body is the answer to an
  offer in the 2xx.

  The ACK to another final response is no matter of the dialog: the stack sends it.
  """
  @spec build_ack(t, Message.request() | non_neg_integer, [request_option]) :: Message.request()
  def build_ack(dialog, invite, options \\ [])

  def build_ack(%__MODULE__{} = dialog, number, options) when is_integer(number),
    do: Request.build(dialog, {number, :ack}, nil, options)

  def build_ack(
        %__MODULE__{} = dialog,
        %Message{start_line: %RequestLine{method: :invite}, headers: %{cseq: {number, _method}}} =
          invite,
        options
      ) do
    ack = build_ack(dialog, number, options)
    credentials = Map.take(invite.headers, [:authorization, :proxy_authorization])
    %{ack | headers: Map.merge(credentials, ack.headers)}
  end

  @doc """
  Builds the BYE that ends the dialog (§15.1.1); the same as `build_request/3` with `:bye`.

  The dialog is terminated then, whatever comes back. The called side waits for the ACK to its 2xx before it sends a BYE,
  or for `:no_ack` (§15).
  """
  @spec bye(t, [request_option]) :: {Message.request(), t}
  def bye(%__MODULE__{} = dialog, options \\ []), do: build_request(dialog, :bye, options)

  @doc """
  Ends a dialog: its request timed out, its subscription is over.
  """
  @spec terminate(t) :: t
  def terminate(%__MODULE__{} = dialog), do: %{dialog | state: :terminated}

  @doc """
  The value of Replaces (RFC 3891) by which the other end of the dialog knows it.

  That is for the INVITE which takes over the call at the other end, by way of a Refer-To as a rule. With
  `early_only: true` the call is only taken over while it rings.

      iex> alias Sippet.{Dialog, URI}
      iex> dialog = %Dialog{call_id: "425928@bobster.example.org", local_tag: "7743", remote_tag: "6472"}
      iex> Dialog.build_replaces(dialog)
      "425928@bobster.example.org;to-tag=6472;from-tag=7743"
      iex> uri = %URI{scheme: "sip", host: "bobster.example.org"}
      iex> to_string(%{uri | headers: URI.encode_headers(%{"Replaces" => Dialog.build_replaces(dialog)})})
      "sip:bobster.example.org?Replaces=425928%40bobster.example.org%3Bto-tag%3D6472%3Bfrom-tag%3D7743"
  """
  @spec build_replaces(t, early_only: boolean) :: String.t()
  def build_replaces(%__MODULE__{} = dialog, options \\ []) do
    options = Keyword.validate!(options, early_only: false)
    Replacement.write(dialog, if(options[:early_only], do: [";early-only"], else: []))
  end

  @doc """
  The value of Join (RFC 3911) by which the other end of the dialog knows it.
  """
  @spec build_join(t) :: String.t()
  def build_join(%__MODULE__{} = dialog), do: Replacement.write(dialog, [])

  @doc """
  Finds the dialog that an INVITE with Replaces is to take the place of (RFC 3891 §3).

  `dialogs` are those to look among; those with the Call-ID that is asked for are enough. Returns

    * `:none` - the request has no Replaces
    * `{:ok, dialog}` - if the one who asks may, the INVITE is answered 2xx, and then the dialog gets a BYE, or its own
      INVITE a CANCEL while it is early
    * `{:error, %Sippet.DialogError{}}` - the INVITE earns its `status_code`: 400 for a malformed or repeated value or
      another method (`:malformed`, `:not_an_invite`), 481 for a dialog that is not there, is not unique, is no call
      or rings here (`:no_dialog`), 603 for one that has ended (`:terminated`), 486 for one that is answered where only an
      early one is wanted (`:confirmed`)

  Who may take over a call is the user's to decide.
  """
  @spec find_replaced(Enumerable.t(), Message.request()) ::
          :none | {:ok, t} | {:error, DialogError.t()}
  def find_replaced(dialogs, %Message{start_line: %RequestLine{}} = request),
    do: Replacement.find(dialogs, request, "Replaces")

  @doc """
  Finds the dialog that an INVITE with Join is to be joined with (RFC 3911 §4); else as `find_replaced/2`.
  """
  @spec find_joined(Enumerable.t(), Message.request()) ::
          :none | {:ok, t} | {:error, DialogError.t()}
  def find_joined(dialogs, %Message{start_line: %RequestLine{}} = request),
    do: Replacement.find(dialogs, request, "Join")

  defp initial?(dialog, %Message{headers: headers}),
    do: Map.get(headers, :cseq) == {dialog.initial_cseq, dialog.method}

  # The same but for the remote tag.
  defp same_request?(dialog, response) do
    {call_id, local_tag, _remote_tag} = id_of(response)
    call_id == dialog.call_id and local_tag == dialog.local_tag
  end

  defp route_set(response), do: response |> Part.needed() |> Part.record_route() |> Enum.reverse()

  # RFC 6141 §4: a provisional response counts if it is reliable (RFC 3262).
  defp refreshing?(status_code, response) do
    status_code in 200..299 or
      (status_code in 101..199 and Message.has_header?(response, "RSeq"))
  end

  defp refresh(dialog, message) do
    case message |> Part.needed() |> Part.contact_uri() do
      nil -> dialog
      uri -> %{dialog | remote_target: uri}
    end
  end

  defp keep_local_target(dialog, message) do
    case message |> Part.needed() |> Part.contact() do
      nil -> dialog
      contact -> %{dialog | local_target: contact}
    end
  end

  defp check_method!(_dialog, :ack) do
    raise ArgumentError, "expected a method other than ACK: see Sippet.Dialog.build_ack/3"
  end

  defp check_method!(_dialog, :cancel) do
    raise ArgumentError, "expected a method other than CANCEL, which is no request in a dialog"
  end

  defp check_method!(%{role: :uas, state: :early}, :bye) do
    raise ArgumentError,
          "expected a dialog that is confirmed: the called side refuses a call, it sends no BYE"
  end

  defp check_method!(_dialog, _method), do: :ok
end
