defmodule Sippet.Message do
  @moduledoc """
  A SIP message, request or response, and what can be done with it (RFC 3261 §7).

    * `:start_line` - a `Sippet.Message.RequestLine` or a `Sippet.Message.StatusLine`
    * `:headers` - the header fields, in the shapes of `Sippet.Message.Headers`
    * `:body` - a binary, or `nil` where there is none
    * `:target` - where a request is to go, `{protocol, host, port}`, when that is not where Route or Request-URI lead
    * `:source` - the flow and the address that the message came by; `nil` for messages made here
    * `:defects` - what lenient parsing forgave, see `t:defect/0`

  The struct implements `Access` and `String.Chars`.

      iex> request =
      ...>   :options
      ...>   |> Sippet.Message.build_request("sip:biloxi.com")
      ...>   |> Sippet.Message.put_header(:cseq, {1, :options})
      ...>   |> Sippet.Message.put_header_front(:supported, "path")
      iex> {request[:headers].cseq, request.start_line.method}
      {{1, :options}, :options}

  ## Header fields

  The functions with `header` in their name work on `:headers` and check no shapes: a value of a wrong one is refused
  when the message is written. Those that end in `_front` and `_back` are for header fields with a list of values, and
  raise `ArgumentError` where the header field holds something else.

  Header fields with a string key hold text; `decode_header/2` and `encode_header/2` turn that of those in
  `Sippet.Message.Header` into typed values and back.

  Names on the wire have no case, so a string finds a header field that is spelled in another case, and by its compact
  form: `"X-VENDOR"` finds `"x-vendor"`, and `"x"` finds `"Session-Expires"`.

  A header field with an atom is under that atom alone: `get_header(message, :subject)`. Under the string `"Subject"` there is
  what was malformed, if anything, and what is put there is written only where `:subject` is absent. `decode_header/2` takes
  either name.
  """

  @behaviour Access

  alias Sippet.Message.{Header, Headers, ParseOptions, RequestLine, StatusLine, Tag, Validation}
  alias Sippet.{Native, ParseError, URI}

  defstruct start_line: nil, headers: %{}, body: nil, target: nil, source: nil, defects: []

  @type uri :: URI.t()

  @type method :: Headers.method()

  @type protocol :: Headers.protocol()

  @typedoc "The key of a header field."
  @type header :: Headers.name()

  @typedoc "The header fields, see `Sippet.Message.Headers`."
  @type headers :: Headers.t()

  @typedoc "The value of a header field, see `Sippet.Message.Headers`."
  @type value :: term

  @typedoc """
  What lenient parsing forgave, see the guide `guides/parsing.md`.

  `header` is the name of the header field, the key under which its text is kept if it is; `:start_line`; or `nil` where
  it is no part in particular. `reason` is a `t:Sippet.ParseError.reason/0`, `offset` the byte, counted from 0, where the
  grammar stopped.
  """
  @type defect :: %{
          header: String.t() | :start_line | nil,
          reason: ParseError.reason(),
          offset: non_neg_integer
        }

  @type t(start_line) :: %__MODULE__{
          start_line: start_line,
          headers: headers,
          body: binary | nil,
          target: nil | {protocol, host :: String.t(), :inet.port_number()} | Sippet.Flow.t(),
          source: term,
          defects: [defect]
        }

  @type t :: t(RequestLine.t() | StatusLine.t() | nil)

  @type request :: t(RequestLine.t())

  @type response :: t(StatusLine.t())

  @known_methods ~w(ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH PULL PUSH REFER REGISTER STORE
                    SUBSCRIBE UPDATE)
  @known_protocols ~w(AMQP DCCP DTLS SCTP STOMP TCP TLS UDP WS WSS)

  @doc """
  The methods that are atoms in a message, as they stand on the wire.

      iex> "INVITE" in Sippet.Message.known_methods()
      true
  """
  @spec known_methods() :: [String.t()]
  def known_methods, do: @known_methods

  @doc """
  The transport protocols that are atoms in a message, as they stand on the wire.

      iex> Enum.take(Sippet.Message.known_protocols(), 3)
      ["AMQP", "DCCP", "DTLS"]
  """
  @spec known_protocols() :: [String.t()]
  def known_protocols, do: @known_protocols

  @doc """
  The atom of a known method in any case, else the string in upper case.

      iex> {Sippet.Message.to_method("Invite"), Sippet.Message.to_method("foo")}
      {:invite, "FOO"}
  """
  @spec to_method(String.t()) :: method
  def to_method(string) when is_binary(string), do: known_method(String.upcase(string))

  for method <- @known_methods do
    defp known_method(unquote(method)),
      do: unquote(method |> String.downcase() |> String.to_atom())
  end

  defp known_method(other), do: other

  @doc """
  The atom of a known transport protocol in any case, else the string in upper case.

      iex> {Sippet.Message.to_protocol("Udp"), Sippet.Message.to_protocol("tls-sctp")}
      {:udp, "TLS-SCTP"}
  """
  @spec to_protocol(String.t()) :: protocol
  def to_protocol(string) when is_binary(string), do: known_protocol(String.upcase(string))

  for protocol <- @known_protocols do
    defp known_protocol(unquote(protocol)),
      do: unquote(protocol |> String.downcase() |> String.to_atom())
  end

  defp known_protocol(other), do: other

  @doc """
  What the branch of a request of RFC 3261 begins with (§8.1.1.7).

      iex> Sippet.Message.magic_cookie()
      "z9hG4bK"
  """
  @spec magic_cookie() :: String.t()
  def magic_cookie, do: "z9hG4bK"

  @doc """
  Makes a tag for From or To: 48 random bits in 8 characters (§19.3).

      iex> byte_size(Sippet.Message.create_tag())
      8
  """
  @spec create_tag() :: String.t()
  def create_tag, do: random(6)

  @doc """
  Makes a branch for Via: the magic cookie and 72 random bits in 12 characters (§8.1.1.7).

      iex> "z9hG4bK" <> random = Sippet.Message.create_branch()
      iex> byte_size(random)
      12
  """
  @spec create_branch() :: String.t()
  def create_branch, do: magic_cookie() <> random(9)

  @doc """
  Makes a Call-ID: 120 random bits in 20 characters (§8.1.1.4).

      iex> byte_size(Sippet.Message.create_call_id())
      20
  """
  @spec create_call_id() :: String.t()
  def create_call_id, do: random(15)

  defp random(bytes), do: encode(:crypto.strong_rand_bytes(bytes))

  defp encode(bytes), do: Base.url_encode64(bytes, padding: false)

  @doc """
  Makes a request without header fields.

  A method in a string goes through `to_method/1`. A URI in a string is parsed; one that is malformed raises
  `ArgumentError`.

      iex> request = Sippet.Message.build_request("OPTIONS", "sip:biloxi.com")
      iex> {request.start_line.method, request.headers}
      {:options, %{}}
  """
  @spec build_request(method, uri | String.t()) :: request
  def build_request(method, uri) when is_binary(method),
    do: build_request(to_method(method), uri, [])

  def build_request(method, uri) when is_atom(method), do: build_request(method, uri, [])

  defp build_request(method, uri, []), do: %__MODULE__{start_line: RequestLine.new(method, uri)}

  @doc """
  Makes a response without header fields, of a status code or a status line.

  Raises as `Sippet.Message.StatusLine.new/1` does. See `to_response/2` for the response to a request.

      iex> Sippet.Message.build_response(486).start_line.reason_phrase
      "Busy Here"
  """
  @spec build_response(StatusLine.status_code() | StatusLine.t()) :: response
  def build_response(%StatusLine{} = status_line), do: %__MODULE__{start_line: status_line}

  def build_response(status_code) when is_integer(status_code),
    do: build_response(StatusLine.new(status_code))

  @doc """
  Makes a response without header fields, of a status code and a reason phrase.

      iex> Sippet.Message.build_response(400, "No Contact").start_line.reason_phrase
      "No Contact"
  """
  @spec build_response(StatusLine.status_code(), String.t()) :: response
  def build_response(status_code, reason_phrase)
      when is_integer(status_code) and is_binary(reason_phrase),
      do: build_response(StatusLine.new(status_code, reason_phrase))

  @doc """
  Makes the response to a request, of a status code or a status line (§8.2.6).

  Via, From, To, Call-ID, CSeq and Record-Route are those of the request, and Timestamp in a 100. In any response but a
  100, To gets a tag if it has none: the same one for the same request, so that a 180 and a 200 belong to one dialog,
  and the same one for a CANCEL as for its INVITE (§9.2). It cannot be foreseen: each VM has its own.

  Raises `ArgumentError` where the request has no To.

      iex> request =
      ...>   Sippet.Message.parse!(\"""
      ...>   OPTIONS sip:biloxi.com SIP/2.0
      ...>   Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds
      ...>   From: <sip:alice@atlanta.com>;tag=1928301774
      ...>   To: <sip:biloxi.com>
      ...>   Call-ID: a84b4c76e66710
      ...>   CSeq: 63104 OPTIONS
      ...>   \""")
      iex> ringing = Sippet.Message.to_response(request, 180)
      iex> ringing.headers.to == Sippet.Message.to_response(request, 200).headers.to
      true
      iex> Sippet.Message.to_response(request, 100).headers.to == request.headers.to
      true
  """
  @spec to_response(request, StatusLine.status_code() | StatusLine.t()) :: response
  def to_response(request, status)

  def to_response(%__MODULE__{start_line: %RequestLine{}} = request, status_code)
      when is_integer(status_code),
      do: to_response(request, StatusLine.new(status_code))

  def to_response(%__MODULE__{start_line: %RequestLine{}} = request, %StatusLine{} = status_line) do
    %__MODULE__{start_line: status_line, headers: response_headers(request, status_line)}
  end

  @doc """
  Makes the response to a request, of a status code and a reason phrase; else as `to_response/2`.
  """
  @spec to_response(request, StatusLine.status_code(), String.t()) :: response
  def to_response(%__MODULE__{start_line: %RequestLine{}} = request, status_code, reason_phrase)
      when is_integer(status_code) and is_binary(reason_phrase),
      do: to_response(request, StatusLine.new(status_code, reason_phrase))

  @copied [:via, :from, :to, :call_id, :cseq, :record_route]

  defp response_headers(%{headers: %{to: {_, _, %{}}} = headers}, %{status_code: 100}),
    do: Map.take(headers, [:timestamp | @copied])

  defp response_headers(%{headers: %{to: {_, _, %{}} = to} = headers}, _status_line),
    do: headers |> Map.take(@copied) |> Map.put(:to, with_tag(to, headers))

  defp response_headers(request, _status_line) do
    raise ArgumentError, "expected a request with a To, got: #{inspect(request)}"
  end

  defp with_tag({_display_name, _uri, %{"tag" => tag}} = to, _headers) when tag != "", do: to

  defp with_tag({display_name, uri, parameters}, headers),
    do: {display_name, uri, Map.put(parameters, "tag", Tag.of_request(headers))}

  @doc """
  Tells whether a message is a request.

      iex> Sippet.Message.request?(Sippet.Message.build_request(:options, "sip:biloxi.com"))
      true
  """
  @spec request?(t) :: boolean
  def request?(%__MODULE__{start_line: %RequestLine{}}), do: true
  def request?(_other), do: false

  @doc """
  Tells whether a message is a response.

      iex> Sippet.Message.response?(Sippet.Message.build_response(200))
      true
  """
  @spec response?(t) :: boolean
  def response?(%__MODULE__{start_line: %StatusLine{}}), do: true
  def response?(_other), do: false

  @doc """
  Tells whether a header field is there.

      iex> Sippet.Message.has_header?(Sippet.Message.build_response(200), :cseq)
      false
  """
  @spec has_header?(t, header) :: boolean
  def has_header?(%__MODULE__{headers: headers}, header),
    do: is_map_key(headers, Headers.key(headers, header))

  @doc """
  Sets a header field, whatever was there.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :expires, 60)
      iex> message.headers
      %{expires: 60}
  """
  @spec put_header(t, header, value) :: t
  def put_header(%__MODULE__{headers: headers} = message, header, value),
    do: %{message | headers: Map.put(headers, Headers.key(headers, header), value)}

  @doc """
  Sets a header field unless it is there.
  """
  @spec put_new_header(t, header, value) :: t
  def put_new_header(%__MODULE__{} = message, header, value),
    do: put_new_lazy_header(message, header, fn -> value end)

  @doc """
  Sets a header field to what `fun` returns unless it is there; then `fun` is not called.

      iex> message = Sippet.Message.build_response(200)
      iex> message = Sippet.Message.put_new_lazy_header(message, :server, fn -> "Sippet" end)
      iex> Sippet.Message.put_new_lazy_header(message, :server, fn -> "other" end).headers.server
      "Sippet"
  """
  @spec put_new_lazy_header(t, header, (() -> value)) :: t
  def put_new_lazy_header(%__MODULE__{} = message, header, fun) when is_function(fun, 0),
    do: if(has_header?(message, header), do: message, else: put_header(message, header, fun.()))

  @doc """
  Adds a value before all others of a header field. With `nil` only the list is made where there is none.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["BYE"])
      iex> Sippet.Message.put_header_front(message, :allow, "ACK").headers.allow
      ["ACK", "BYE"]
  """
  @spec put_header_front(t, header, value) :: t
  def put_header_front(%__MODULE__{headers: headers} = message, header, value),
    do: %{message | headers: Headers.put_end(headers, header, value, :front)}

  @doc """
  Adds a value after all others of a header field. With `nil` only the list is made where there is none.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["BYE"])
      iex> Sippet.Message.put_header_back(message, :allow, "ACK").headers.allow
      ["BYE", "ACK"]
  """
  @spec put_header_back(t, header, value) :: t
  def put_header_back(%__MODULE__{headers: headers} = message, header, value),
    do: %{message | headers: Headers.put_end(headers, header, value, :back)}

  @doc """
  Removes a header field, if it is there.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), "X-Vendor", ["1"])
      iex> Sippet.Message.delete_header(message, "x-vendor").headers
      %{}
  """
  @spec delete_header(t, header) :: t
  def delete_header(%__MODULE__{headers: headers} = message, header),
    do: %{message | headers: Map.delete(headers, Headers.key(headers, header))}

  @doc """
  Removes the first value of a header field, and the header field with its last value.
  """
  @spec delete_header_front(t, header) :: t
  def delete_header_front(%__MODULE__{} = message, header),
    do: message |> pop_header_front(header) |> elem(1)

  @doc """
  Removes the last value of a header field, and the header field with the only one.
  """
  @spec delete_header_back(t, header) :: t
  def delete_header_back(%__MODULE__{} = message, header),
    do: message |> pop_header_back(header) |> elem(1)

  @doc """
  Removes header fields, those that are there.
  """
  @spec drop_headers(t, Enumerable.t()) :: t
  def drop_headers(%__MODULE__{} = message, headers),
    do: Enum.reduce(headers, message, &delete_header(&2, &1))

  @doc """
  The value of a header field: `{:ok, value}`, or `:error` where it is absent.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :expires, 60)
      iex> {Sippet.Message.fetch_header(message, :expires), Sippet.Message.fetch_header(message, :to)}
      {{:ok, 60}, :error}
  """
  @spec fetch_header(t, header) :: {:ok, value} | :error
  def fetch_header(%__MODULE__{headers: headers}, header),
    do: Map.fetch(headers, Headers.key(headers, header))

  @doc """
  The first value of a header field: `{:ok, value}`, with `nil` of an empty list; `:error` where there is no list.
  """
  @spec fetch_header_front(t, header) :: {:ok, value} | :error
  def fetch_header_front(%__MODULE__{headers: headers}, header),
    do: Headers.fetch_end(headers, header, :front)

  @doc """
  The last value of a header field: `{:ok, value}`, with `nil` of an empty list; `:error` where there is no list.
  """
  @spec fetch_header_back(t, header) :: {:ok, value} | :error
  def fetch_header_back(%__MODULE__{headers: headers}, header),
    do: Headers.fetch_end(headers, header, :back)

  @doc """
  The value of a header field; raises `KeyError` where it is absent.
  """
  @spec fetch_header!(t, header) :: value
  def fetch_header!(%__MODULE__{headers: headers}, header),
    do: Map.fetch!(headers, Headers.key(headers, header))

  @doc """
  The first value of a header field, `nil` of an empty list; raises `KeyError` where it is absent.
  """
  @spec fetch_header_front!(t, header) :: value
  def fetch_header_front!(%__MODULE__{headers: headers}, header),
    do: Headers.fetch_end!(headers, header, :front)

  @doc """
  The last value of a header field, `nil` of an empty list; raises `KeyError` where it is absent.
  """
  @spec fetch_header_back!(t, header) :: value
  def fetch_header_back!(%__MODULE__{headers: headers}, header),
    do: Headers.fetch_end!(headers, header, :back)

  @doc """
  The value of a header field, or `default` where it is absent.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), "Session-Expires", ["90"])
      iex> {Sippet.Message.get_header(message, "x"), Sippet.Message.get_header(message, :to, :none)}
      {["90"], :none}
  """
  @spec get_header(t, header, default :: term) :: value
  def get_header(%__MODULE__{headers: headers}, header, default \\ nil),
    do: Map.get(headers, Headers.key(headers, header), default)

  @doc """
  The first value of a header field, `nil` of an empty list, or `default` where it is absent.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["ACK", "BYE"])
      iex> Sippet.Message.get_header_front(message, :allow)
      "ACK"
  """
  @spec get_header_front(t, header, default :: term) :: value
  def get_header_front(%__MODULE__{headers: headers}, header, default \\ nil),
    do: Headers.get_end(headers, header, default, :front)

  @doc """
  The last value of a header field, `nil` of an empty list, or `default` where it is absent.
  """
  @spec get_header_back(t, header, default :: term) :: value
  def get_header_back(%__MODULE__{headers: headers}, header, default \\ nil),
    do: Headers.get_end(headers, header, default, :back)

  @doc """
  Sets a header field to what `fun` makes of its value, or to `initial` where it is absent.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :max_forwards, 70)
      iex> Sippet.Message.update_header(message, :max_forwards, 70, &(&1 - 1)).headers
      %{max_forwards: 69}
  """
  @spec update_header(t, header, initial :: value, (value -> value)) :: t
  def update_header(%__MODULE__{headers: headers} = message, header, initial \\ nil, fun)
      when is_function(fun, 1),
      do: %{message | headers: Map.update(headers, Headers.key(headers, header), initial, fun)}

  @doc """
  Replaces the first value of a header field by what `fun` makes of it.

  Without a value the header field becomes `[initial]`, or `[]` where `initial` is `nil`.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["ack", "BYE"])
      iex> Sippet.Message.update_header_front(message, :allow, &String.upcase/1).headers.allow
      ["ACK", "BYE"]
  """
  @spec update_header_front(t, header, initial :: value, (value -> value)) :: t
  def update_header_front(%__MODULE__{headers: headers} = message, header, initial \\ nil, fun)
      when is_function(fun, 1),
      do: %{message | headers: Headers.update_end(headers, header, initial, fun, :front)}

  @doc """
  Replaces the last value of a header field by what `fun` makes of it.

  Without a value the header field becomes `[initial]`, or `[]` where `initial` is `nil`.
  """
  @spec update_header_back(t, header, initial :: value, (value -> value)) :: t
  def update_header_back(%__MODULE__{headers: headers} = message, header, initial \\ nil, fun)
      when is_function(fun, 1),
      do: %{message | headers: Headers.update_end(headers, header, initial, fun, :back)}

  @doc """
  Takes a header field out: `{value, message}`, with `default` as value where it is absent.
  """
  @spec pop_header(t, header, default :: term) :: {value, t}
  def pop_header(%__MODULE__{headers: headers} = message, header, default \\ nil),
    do: headers |> Map.pop(Headers.key(headers, header), default) |> into(message)

  @doc """
  Takes the first value out of a header field: `{value, message}`, with `default` as value where there is none.

  With its last value the header field goes too.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["ACK", "BYE"])
      iex> {value, message} = Sippet.Message.pop_header_front(message, :allow)
      iex> {value, message.headers.allow}
      {"ACK", ["BYE"]}
  """
  @spec pop_header_front(t, header, default :: term) :: {value, t}
  def pop_header_front(%__MODULE__{headers: headers} = message, header, default \\ nil),
    do: headers |> Headers.pop_end(header, default, :front) |> into(message)

  @doc """
  Takes the last value out of a header field; else as `pop_header_front/3`.
  """
  @spec pop_header_back(t, header, default :: term) :: {value, t}
  def pop_header_back(%__MODULE__{headers: headers} = message, header, default \\ nil),
    do: headers |> Headers.pop_end(header, default, :back) |> into(message)

  @doc """
  Gets something of the value of a header field and replaces it, as `Map.get_and_update/3` does.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :expires, 60)
      iex> {old, message} = Sippet.Message.get_and_update_header(message, :expires, &{&1, 30})
      iex> {old, message.headers}
      {60, %{expires: 30}}
  """
  @spec get_and_update_header(t, header, (value -> {get, value} | :pop)) :: {get, t}
        when get: term
  def get_and_update_header(%__MODULE__{headers: headers} = message, header, fun)
      when is_function(fun, 1),
      do: headers |> Map.get_and_update(Headers.key(headers, header), fun) |> into(message)

  @doc """
  Gets something of the first value of a header field and replaces it.

  `fun` gets that value, `nil` where there is none. It returns `{get, value}`, where a `nil` value takes the old one
  away, or `:pop`, which takes it away and gets it; of a header field without values `:pop` takes all.

      iex> message = Sippet.Message.put_header(Sippet.Message.build_response(200), :allow, ["ACK", "BYE"])
      iex> {old, message} = Sippet.Message.get_and_update_header_front(message, :allow, &{&1, "INFO"})
      iex> {old, message.headers.allow}
      {"ACK", ["INFO", "BYE"]}
  """
  @spec get_and_update_header_front(t, header, (value -> {get, value} | :pop)) :: {get, t}
        when get: term
  def get_and_update_header_front(%__MODULE__{headers: headers} = message, header, fun)
      when is_function(fun, 1),
      do: headers |> Headers.get_and_update_end(header, fun, :front) |> into(message)

  @doc """
  Gets something of the last value of a header field and replaces it; else as `get_and_update_header_front/3`.
  """
  @spec get_and_update_header_back(t, header, (value -> {get, value} | :pop)) :: {get, t}
        when get: term
  def get_and_update_header_back(%__MODULE__{headers: headers} = message, header, fun)
      when is_function(fun, 1),
      do: headers |> Headers.get_and_update_end(header, fun, :back) |> into(message)

  defp into({value, headers}, message), do: {value, %{message | headers: headers}}

  @doc """
  The typed value of a header field that is kept as text, in the shape that `Sippet.Message.Header` has for it.

  The first argument is a message, or the text: a list of strings, one for each line, or one string. `header` is a name in
  any case, long or compact. A header field with an atom key is found by either name, and its value is that of the
  header map; where the message has it only as text, since it was malformed, that is read again.

  Returns

    * `{:ok, value}` - of a name that has no typed value, the text as a list of strings
    * `{:error, %Sippet.ParseError{}}` - the text is malformed; `:header` is its key, and `:offset` counts the bytes of all
      lines as if there were one byte between two of them
    * `:error` - the message has no such header field

  What lenient parsing forgives is forgiven, and the limits are the defaults of `parse/2`. Nothing in the text makes this
  function raise; a header field that holds anything but strings does, and so does an atom that is no header field:
  `ArgumentError`.

      iex> message =
      ...>   Sippet.Message.parse!(\"""
      ...>   SUBSCRIBE sip:bob@biloxi.com SIP/2.0
      ...>   o: Presence;id=1
      ...>   x: soon
      ...>   \""")
      iex> Sippet.Message.decode_header(message, "Event")
      {:ok, {"Presence", %{"id" => "1"}}}
      iex> {:error, error} = Sippet.Message.decode_header(message, "Session-Expires")
      iex> {error.header, error.reason}
      {"Session-Expires", :number}
      iex> Sippet.Message.decode_header(message, "Refer-To")
      :error
      iex> Sippet.Message.decode_header("776656 1 INVITE", "RAck")
      {:ok, {776656, 1, :invite}}
  """
  @spec decode_header(t | [String.t()] | String.t(), header) ::
          {:ok, value} | {:error, ParseError.t()} | :error
  def decode_header(message_or_text, header)
  def decode_header(%__MODULE__{headers: headers}, header), do: Header.fetch(headers, header)
  def decode_header(text, header), do: Header.decode(text, header)

  @doc """
  The text of a header field's typed value, a list of strings for `put_header/3`: the inverse of `decode_header/2`.

  `header` is a name in any case, long or compact, or an atom. Of a name that has no typed value, `value` is a list of
  strings, or one.

  A value of another shape than that in `Sippet.Message.Header`, or one that could not be read back as it is, or that
  holds CR, LF or NUL, raises `ArgumentError` naming the header field.

      iex> {:ok, uri} = Sippet.URI.parse("sip:carol@chicago.com?Replaces=12345%40a;to-tag%3D1;from-tag%3D2")
      iex> Sippet.Message.encode_header("Refer-To", {"Carol", uri, %{}})
      [~S("Carol" <sip:carol@chicago.com?Replaces=12345%40a;to-tag%3D1;from-tag%3D2>)]
      iex> message = Sippet.Message.build_response(200)
      iex> event = Sippet.Message.encode_header("Event", {"presence", %{"id" => "1"}})
      iex> Sippet.Message.put_header(message, "Event", event).headers
      %{"Event" => ["presence;id=1"]}
  """
  @spec encode_header(header, value) :: [String.t()]
  def encode_header(header, value), do: Header.encode(header, value)

  @doc """
  Where the topmost Via of a request says that it came from: `{:ok, {protocol, host, port}}`.

  `received` stands before the host, and an `rport` with a port in it before the port of sent-by (§18.2.2, RFC 3581). An
  error is `{:error, "Missing Via header"}` or `{:error, "Not a request"}`.

      iex> request =
      ...>   :options
      ...>   |> Sippet.Message.build_request("sip:biloxi.com")
      ...>   |> Sippet.Message.put_header(:via, [
      ...>     {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"received" => "192.0.2.1", "rport" => "9988"}}
      ...>   ])
      iex> Sippet.Message.get_remote(request)
      {:ok, {:udp, "192.0.2.1", 9988}}
  """
  @spec get_remote(request) ::
          {:ok, {protocol, host :: String.t(), :inet.port_number()}} | {:error, String.t()}
  def get_remote(%__MODULE__{start_line: %RequestLine{}, headers: headers}) do
    case headers do
      %{via: [{_version, protocol, {host, port}, parameters} | _rest]} ->
        {:ok, {protocol, received(parameters, host), rport(parameters, port)}}

      _other ->
        {:error, "Missing Via header"}
    end
  end

  def get_remote(%__MODULE__{}), do: {:error, "Not a request"}

  # Some write an IPv6 address in brackets, some do not (RFC 5118 §4.5).
  defp received(%{"received" => "[" <> rest}, _host), do: String.trim_trailing(rest, "]")
  defp received(%{"received" => received}, _host) when received != "", do: received
  defp received(_parameters, host), do: host

  defp rport(%{"rport" => rport}, port) do
    case Integer.parse(rport) do
      {rport, ""} when rport in 1..65_535 -> rport
      _other -> port
    end
  end

  defp rport(_parameters, port), do: port

  @typedoc """
  What `parse/2` takes:

    * `:framing` - `:whole` (the default), or `:datagram`
    * `:mode` - `:lenient` (the default) keeps a malformed header field that the protocol does not depend on as text and
      lists it in `defects`; `:strict` refuses the message. `guides/parsing.md` has the table of what is forgiven
    * `:max_message_bytes` - bytes in all, 1,048,576 with `framing: :whole` and 65,536 for a datagram
    * `:max_fields` - header field lines, 256
    * `:max_line_bytes` - bytes of the start line, or of a header field with its continuation lines, 8,192
    * `:max_values` - values of a list field, 256
    * `:max_hops` - values of Via, of Route and of Record-Route, 64
    * `:max_parameters` - parameters of a value, 32
    * `:max_folds` - continuation lines of a header field, 16
  """
  @type parse_option :: ParseOptions.option()

  @doc """
  Parses one message.

  Lines end in CRLF or LF. Head and body are separated by the first empty line. With `framing: :whole`, the default, the
  body is all that follows it, whatever Content-Length says, and what is missing is not missed. With `framing: :datagram`
  the body is as long as Content-Length says and surplus bytes are dropped (§18.3); an error is a body that is too short,
  and a head without an empty line, without a header field that any message has, or of another version than 2.0.

  `options` are a list of `t:parse_option/0`; an unknown one or a wrong value raises `ArgumentError`.

  Returns

    * `{:ok, message}` - `headers` as in `Sippet.Message.Headers`; `body` is `nil` where there is no empty line, and `""`
      where nothing follows it
    * `{:error, %Sippet.ParseError{}}` - what is wrong and where, and the status code that a request earns with it

  Bytes from the network never make this function raise. Long strings and the body refer to `data`: see `copy/1` for a
  message that is to be kept. RFC 3261 §7, §25.1.

      iex> {:ok, message} =
      ...>   Sippet.Message.parse(["SIP/2.0 200 OK\\r\\n", "CSeq: 1 INVITE\\r\\n", "l: 4\\r\\n\\r\\n", "v=0\\n"])
      iex> {message.headers, message.body}
      {%{content_length: 4, cseq: {1, :invite}}, "v=0\\n"}
      iex> {:error, error} = Sippet.Message.parse("BYE sip:a.example SIP/7.0\\r\\n\\r\\n", framing: :datagram)
      iex> error.status_code
      505
  """
  @spec parse(iodata, [parse_option]) :: {:ok, t} | {:error, ParseError.t()}
  def parse(data, options \\ []) do
    {framing, mode, limits} = ParseOptions.read(options)
    data |> IO.iodata_to_binary() |> Native.parse(framing, mode, limits)
  end

  @doc """
  Parses one message as `parse/2` does; raises `ArgumentError` where that returns an error.

      iex> Sippet.Message.parse!("OPTIONS sip:biloxi.com SIP/2.0\\r\\n").start_line.method
      :options
  """
  @spec parse!(iodata, [parse_option]) :: t
  def parse!(data, options \\ []) do
    case parse(data, options) do
      {:ok, message} ->
        message

      {:error, error} ->
        raise ArgumentError,
              "cannot convert #{inspect(data)} to SIP message, reason: #{Exception.message(error)}"
    end
  end

  @doc """
  The message as iodata, as it goes to the network.

  Header fields come in a fixed order, those that proxies need first (§7.3.1). Content-Length is that of the body, in
  bytes. A value that cannot be written, because it has a wrong shape or holds CR, LF or NUL, raises `ArgumentError`
  naming its header field.

      iex> IO.iodata_to_binary(Sippet.Message.to_iodata(Sippet.Message.build_response(200)))
      "SIP/2.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n"
  """
  @spec to_iodata(t) :: iodata
  def to_iodata(%__MODULE__{} = message) do
    case Native.write(message) do
      {:ok, iodata} -> iodata
      {:error, error} -> raise ArgumentError, Exception.message(error)
    end
  end

  @doc """
  The message as one binary; else as `to_iodata/1`.
  """
  @spec to_string(t) :: binary
  def to_string(%__MODULE__{} = message), do: message |> to_iodata() |> IO.iodata_to_binary()

  @doc """
  Tells whether a message has what any message needs: `:ok`, or `{:error, text}` with the first fault.

  That is version 2.0; To, From with a tag, CSeq, Call-ID and Via; a CSeq with the method of the request; and a
  Content-Length that is the length of the body. A body without Content-Length is taken where the topmost Via has UDP or
  WebSocket. Nothing in the message makes this function raise.

      iex> Sippet.Message.validate(Sippet.Message.build_response(200))
      {:error, "missing headers: [:to, :from, :cseq, :call_id, :via]"}
  """
  @spec validate(t) :: :ok | {:error, String.t()}
  def validate(%__MODULE__{} = message), do: Validation.validate(message)

  @doc """
  As `validate/1`, for a message that came from `{protocol, host, port}`.

  In addition the topmost Via has that protocol, and each Via version 2.0 and a branch with the magic cookie. Host and
  port do not matter.
  """
  @spec validate(t, {protocol, host :: String.t(), :inet.port_number()}) ::
          :ok | {:error, String.t()}
  def validate(%__MODULE__{} = message, {_protocol, _host, _port} = from),
    do: Validation.validate(message, from)

  @doc """
  Tells whether `validate/1` finds no fault.

      iex> Sippet.Message.valid?(Sippet.Message.build_response(200))
      false
  """
  @spec valid?(t) :: boolean
  def valid?(%__MODULE__{} = message), do: validate(message) == :ok

  @doc """
  Tells whether `validate/2` finds no fault.
  """
  @spec valid?(t, {protocol, host :: String.t(), :inet.port_number()}) :: boolean
  def valid?(%__MODULE__{} = message, from), do: validate(message, from) == :ok

  @doc """
  Copies what refers to the bytes that a message was parsed from.

  A message holds on to its whole datagram otherwise. Call this before keeping one, or a part of it, for long.

      iex> message = Sippet.Message.parse!("SIP/2.0 200 OK\\r\\n\\r\\n" <> String.duplicate("a", 100))
      iex> copy = Sippet.Message.copy(message)
      iex> {copy == message, :binary.referenced_byte_size(copy.body)}
      {true, 100}
  """
  @spec copy(t) :: t
  def copy(%__MODULE__{} = message), do: detach(message)

  defp detach(binary) when is_binary(binary) do
    if :binary.referenced_byte_size(binary) > byte_size(binary),
      do: :binary.copy(binary),
      else: binary
  end

  defp detach([head | tail]), do: [detach(head) | detach(tail)]

  defp detach(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> detach() |> List.to_tuple()

  defp detach(%{} = map),
    do: :maps.from_list(for {key, value} <- :maps.to_list(map), do: {detach(key), detach(value)})

  defp detach(other), do: other

  @impl Access
  @doc """
  A field of the struct, for `message[:headers]` and its like.
  """
  @spec fetch(t, atom) :: {:ok, term} | :error
  def fetch(%__MODULE__{} = message, key), do: Map.fetch(message, key)

  @fields [:start_line, :headers, :body, :target, :source, :defects]

  @impl Access
  @doc """
  Gets something of a field of the struct and replaces it, for `Kernel.update_in/2` and its like.

  `:pop` empties the field as `pop/3` does.

      iex> response = Sippet.Message.build_response(200)
      iex> put_in(response[:headers][:expires], 60).headers
      %{expires: 60}
  """
  @spec get_and_update(t, atom, (term -> {get, term} | :pop)) :: {get, t} when get: term
  def get_and_update(%__MODULE__{} = message, key, fun)
      when key in @fields and is_function(fun, 1) do
    case fun.(Map.fetch!(message, key)) do
      {get, value} ->
        {get, Map.put(message, key, value)}

      :pop ->
        pop(message, key)

      other ->
        raise "expected the function to return a pair or :pop, got: #{inspect(other)}"
    end
  end

  @doc """
  Takes a field of the struct out and puts `default` there; without one, what a new message has there.

      iex> {headers, message} = Sippet.Message.pop(Sippet.Message.build_response(200), :headers)
      iex> {headers, message.headers}
      {%{}, %{}}
  """
  @impl Access
  @spec pop(t, atom, default :: term) :: {term, t}
  def pop(%__MODULE__{} = message, key, default \\ nil) when key in @fields do
    check_default!(key, default)
    empty = if default == nil, do: Map.fetch!(%__MODULE__{}, key), else: default
    {Map.fetch!(message, key), Map.put(message, key, empty)}
  end

  defp check_default!(_key, nil), do: :ok
  defp check_default!(:start_line, %kind{}) when kind in [RequestLine, StatusLine], do: :ok
  defp check_default!(:headers, %{}), do: :ok
  defp check_default!(:body, body) when is_binary(body), do: :ok
  defp check_default!(:target, {_protocol, _host, _port}), do: :ok
  defp check_default!(:source, _source), do: :ok
  defp check_default!(:defects, defects) when is_list(defects), do: :ok

  defp check_default!(key, default) do
    raise "invalid :default, got: #{inspect(default)} for #{inspect(key)}"
  end
end

defimpl String.Chars, for: Sippet.Message do
  defdelegate to_string(message), to: Sippet.Message
end
