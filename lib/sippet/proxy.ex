defmodule Sippet.Proxy do
  @moduledoc """
  What a proxy does with requests and responses (RFC 3261 §16), as functions without processes.

      proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}], domains: ["biloxi.com"])

  A request that was received goes through these, in this order; each takes the message and returns it as it is then:

  | RFC 3261 | |
  |---|---|
  | §16.4 Route of our own, strict routers, maddr | `preprocess_route/2` |
  | §16.3 may it be forwarded? | `validate_request/2`, and `refuse/3` if not |
  | §16.5 where to? | `determine_targets/3` |
  | §16.6 a copy for each target | `forward_request/4` |
  | §16.7 responses | `forward_response/1` |

  §16.4 stands before §16.3 here so that what is checked is the Request-URI that counts; the order makes no other difference.

  `Sippet.Proxy.Context` is the response context of a stateful proxy, plain data: it forks, chooses the best response,
  cancels, and keeps Timer C. `Sippet.Proxy.Server` is a child for your supervisor that carries it out on a stack; most
  proxies need only that and this module. `guides/proxy.md` makes one.

  Requests leave by `Sippet.send/2`, which finds the next hop. There is no stateless mode: a request other than ACK has its
  transactions in the stack, and so a CANCEL that matches no INVITE is answered 481 there and not forwarded. ACKs to 2xx
  are forwarded without state; those to other responses do not get here, as the stack absorbs them.

  ## Options of `new!/1`

    * `:interfaces` - for each protocol, `:udp`, `:tcp`, `:tls`, `:ws`, `:wss`, how this element is named by it in Via and
      Record-Route: `{host, port}`. Required.
    * `:domains` - names of the domains whose users this element knows; default none
    * `:aliases` - further names of this element in Route and Request-URI, `host` or `{host, port}`; default none
    * `:extensions` - option tags that Proxy-Require may ask for; default none
    * `:schemes` - of Request-URIs that are forwarded; default `["sip", "sips"]`
    * `:answers` - methods that this element answers itself where a request has no hop left; default `[:options]`. A
      registrar adds `:register`
    * `:max_breadth` - how many branches at a time a request may have, here and behind this element; default `60`, as RFC
      5393 §5.3.3 has it
    * `:timer_c_ms` - how long an INVITE may ring on a branch; more than three minutes (§16.6, step 11), default `185_000`
    * `:key` - a secret for branches, 16 bytes or more; default random. Elements that share a name share it
  """

  alias Sippet.{Message, ProxyError, URI}
  alias Sippet.Message.Headers
  alias Sippet.Proxy.{Branch, Route, Target, Validation}

  @enforce_keys [:interfaces, :default, :own, :domains, :key]
  defstruct @enforce_keys ++
              [
                extensions: [],
                schemes: ["sip", "sips"],
                answers: [:options],
                max_breadth: 60,
                timer_c_ms: 185_000
              ]

  @typedoc "A proxy, made by `new!/1`."
  @type t :: %__MODULE__{
          interfaces: %{Message.protocol() => {String.t(), :inet.port_number()}},
          default: Message.protocol(),
          own: MapSet.t(),
          domains: MapSet.t(String.t()),
          key: binary,
          extensions: [String.t()],
          schemes: [String.t()],
          answers: [Message.method()],
          max_breadth: pos_integer,
          timer_c_ms: pos_integer
        }

  @typedoc """
  An option of `forward_request/4`:

    * `:record_route` - true to stay in the path of the dialog that the request makes; a pair of user parts, strings or nil, to
      do so with one value for each side, `{leaving_by, came_by}`, flow tokens for instance (RFC 5626 §5.3); or URIs, topmost
      first; default false
    * `:max_breadth` - how many branches the copy may have in its turn; default all that the request may have
    * `:branch` - `:stateful`, a new one, the default; `:stateless`, the same for each repetition of the request, as for an
      ACK; or the branch itself
  """
  @type forward_option ::
          {:record_route, boolean | {String.t() | nil, String.t() | nil} | [URI.t()]}
          | {:max_breadth, pos_integer}
          | {:branch, :stateful | :stateless | String.t()}

  @options [
    :interfaces,
    :key,
    domains: [],
    aliases: [],
    extensions: [],
    schemes: ["sip", "sips"],
    answers: [:options],
    max_breadth: 60,
    timer_c_ms: 185_000
  ]

  @doc """
  Makes a proxy; options as in the module. One that is missing, not known or not of its kind raises `ArgumentError`.

      iex> Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}]).max_breadth
      60
  """
  @spec new!(keyword) :: t
  def new!(options) do
    options = Keyword.validate!(options, @options)
    interfaces = options[:interfaces]

    check!(
      :interfaces,
      "a list of {protocol, {host, port}}, not empty",
      interfaces,
      is_list(interfaces) and interfaces != [] and Enum.all?(interfaces, &interface?/1)
    )

    for name <- [:domains, :extensions, :schemes],
        do: check!(name, "a list of strings", options[name], strings?(options[name]))

    check!(
      :aliases,
      "a list of hosts and {host, port}",
      options[:aliases],
      is_list(options[:aliases])
    )

    check!(:answers, "a list of methods", options[:answers], is_list(options[:answers]))

    check!(
      :max_breadth,
      "a positive integer",
      options[:max_breadth],
      positive?(options[:max_breadth])
    )

    # §16.6, step 11.
    check!(
      :timer_c_ms,
      "a number of milliseconds above 180000",
      options[:timer_c_ms],
      positive?(options[:timer_c_ms]) and options[:timer_c_ms] > 180_000
    )

    key = options[:key] || :crypto.strong_rand_bytes(32)
    # What was got is a secret.
    check!(:key, "a binary of 16 bytes or more", "?", is_binary(key) and byte_size(key) >= 16)
    domains = MapSet.new(options[:domains], &normalize_host/1)

    own =
      for({_protocol, {host, port}} <- interfaces, do: {normalize_host(host), port})
      |> Enum.concat(Enum.map(options[:aliases], &normalize_alias/1))
      |> Enum.concat(domains)
      |> MapSet.new()

    fields = Keyword.take(options, [:extensions, :schemes, :answers, :max_breadth, :timer_c_ms])
    [{first, _address} | _] = interfaces

    struct!(
      %__MODULE__{
        interfaces: Map.new(interfaces),
        default: if(Keyword.has_key?(interfaces, :udp), do: :udp, else: first),
        own: own,
        domains: domains,
        key: key
      },
      fields
    )
  end

  defp interface?({protocol, {host, port}}),
    do: is_atom(protocol) and is_binary(host) and port in 1..65_535

  defp interface?(_other), do: false

  defp strings?(list), do: is_list(list) and Enum.all?(list, &is_binary/1)
  defp positive?(number), do: is_integer(number) and number > 0

  defp check!(_name, _expected, _got, true), do: :ok

  defp check!(name, expected, got, false), do: refuse!(name, expected, got)

  defp refuse!(name, expected, got) do
    raise ArgumentError, "expected #{inspect(name)} to be #{expected}, got: #{inspect(got)}"
  end

  defp normalize_alias({host, port}) when is_binary(host) and port in 1..65_535,
    do: {normalize_host(host), port}

  defp normalize_alias(host) when is_binary(host), do: normalize_host(host)

  defp normalize_alias(other),
    do: refuse!(:aliases, "a list of hosts and {host, port}", other)

  @doc false
  @spec normalize_host(String.t()) :: String.t()
  def normalize_host(host) do
    host
    |> String.trim_leading("[")
    |> String.trim_trailing("]")
    |> String.trim_trailing(".")
    |> String.downcase(:ascii)
  end

  @doc """
  Tells whether a URI leads to this element: by one of its interfaces or aliases, or by a domain without another port.

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5070}], domains: ["biloxi.com"])
      iex> for uri <- ["sip:192.0.2.1:5070;lr", "sip:BILOXI.com", "sip:192.0.2.1"] do
      ...>   Sippet.Proxy.own?(proxy, Sippet.URI.parse!(uri))
      ...> end
      [true, true, false]
  """
  @spec own?(t, URI.t()) :: boolean
  defdelegate own?(proxy, uri), to: Route

  @doc """
  Takes off a request what has led it here (RFC 3261 §16.4).

    * A strict router has put our Record-Route into the Request-URI: what stood there comes back from the end of Route.
    * A `maddr` in the Request-URI that names this element, where the request came by that port and protocol, goes, with
      port and transport.
    * Values of Route at the top that are this element's go, both of them where it bridges two transports (RFC 5658 §3).

  Returns the request and the values of Route that were removed: what you have put into a Record-Route or Path is in there
  again, a flow token for instance (RFC 5626 §5.3).

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}])
      iex> request =
      ...>   Sippet.Message.build_request(:bye, "sip:bob@192.0.2.4")
      ...>   |> Sippet.Message.put_header(:route, [{"", Sippet.URI.parse!("sip:192.0.2.1;lr"), %{}}])
      iex> {request, [_own]} = Sippet.Proxy.preprocess_route(proxy, request)
      iex> request.headers
      %{}
  """
  @spec preprocess_route(t, Message.request()) :: {Message.request(), [Headers.address()]}
  def preprocess_route(%__MODULE__{} = proxy, %Message{} = request),
    do: Route.preprocess(proxy, request)

  @doc """
  Tells whether a request may be forwarded (RFC 3261 §16.3). Authentication, step 6 there, is the caller's.

  Returns

    * `:ok`
    * `{:ok, :final_recipient}` - Max-Forwards is 0, and the method is one that this element answers itself: OPTIONS (§11),
      or what `:answers` has
    * `{:error, %Sippet.ProxyError{}}` - with the status code that the request earns: 400 without a tag in From, 416, 483,
      482 for a loop (RFC 5393 §4), 420, 440 where Max-Breadth is 0. An ACK earns nothing, and goes nowhere.

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}])
      iex> request =
      ...>   Sippet.Message.build_request(:message, "sip:bob@192.0.2.4")
      ...>   |> Sippet.Message.put_header(:from, {"", Sippet.URI.parse!("sip:alice@atlanta.com"), %{"tag" => "1"}})
      ...>   |> Sippet.Message.put_header(:max_forwards, 0)
      iex> {:error, error} = Sippet.Proxy.validate_request(proxy, request)
      iex> {error.reason, error.status_code}
      {:too_many_hops, 483}
  """
  @spec validate_request(t, Message.request()) ::
          :ok | {:ok, :final_recipient} | {:error, ProxyError.t()}
  def validate_request(%__MODULE__{} = proxy, %Message{} = request),
    do: Validation.run(proxy, request)

  @doc """
  Makes the response to a request that is not forwarded. It says why in Warning (code 399, §20.43), and what was not
  understood in Unsupported.

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}])
      iex> request =
      ...>   Sippet.Message.build_request(:invite, "sip:bob@192.0.2.4")
      ...>   |> Sippet.Message.put_header(:to, {"", Sippet.URI.parse!("sip:bob@192.0.2.4"), %{}})
      iex> error = %Sippet.ProxyError{reason: :bad_extension, status_code: 420, values: ["foo"]}
      iex> response = Sippet.Proxy.refuse(proxy, request, error)
      iex> {response.start_line.status_code, response.headers.unsupported, response.headers.warning}
      {420, ["foo"], [{399, "192.0.2.1:5060", "extensions that are not supported: foo"}]}
  """
  @spec refuse(t, Message.request(), ProxyError.t()) :: Message.response()
  def refuse(%__MODULE__{} = proxy, %Message{} = request, %ProxyError{} = error) do
    response =
      request |> Message.to_response(error.status_code) |> warn(proxy, Exception.message(error))

    if error.reason == :bad_extension,
      do: Message.put_header(response, :unsupported, error.values),
      else: response
  end

  @doc """
  Adds a Warning with code 399 to a response of this element: a sentence for people (RFC 3261 §20.43).
  """
  @spec warn(Message.response(), t, String.t()) :: Message.response()
  def warn(%Message{} = response, %__MODULE__{} = proxy, text) do
    {host, port} = Route.interface(proxy, proxy.default)
    Message.put_header_back(response, :warning, {399, Route.authority(host, port), text})
  end

  @doc """
  Finds where a request is to go (RFC 3261 §16.5).

  To its Request-URI, where that has a `maddr`, or is of no domain of this element. Else `lookup` is called with the
  Request-URI and returns a list of targets (`t:Sippet.Proxy.Target.t/0` or URIs), which may be empty, or `nil` where there
  is no such user.

  Returns `{:ok, targets}`, those with the highest `q` first, or `{:error, %Sippet.ProxyError{}}` with `:not_found` or
  `:unavailable`.

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}], domains: ["biloxi.com"])
      iex> request = Sippet.Message.build_request(:invite, "sip:bob@biloxi.com")
      iex> {:ok, [first, second]} =
      ...>   Sippet.Proxy.determine_targets(proxy, request, fn %{userinfo: "bob"} ->
      ...>     [Sippet.Proxy.Target.new("sip:bob@192.0.2.4", q: 0.2), "sip:bob@192.0.2.5"]
      ...>   end)
      iex> {first.uri.host, second.uri.host}
      {"192.0.2.5", "192.0.2.4"}
  """
  @spec determine_targets(
          t,
          Message.request(),
          (URI.t() -> [Target.t() | URI.t() | String.t()] | nil)
        ) ::
          {:ok, [Target.t(), ...]} | {:error, ProxyError.t()}
  def determine_targets(%__MODULE__{} = proxy, %Message{} = request, lookup)
      when is_function(lookup, 1) do
    uri = request.start_line.request_uri

    if maddr?(uri) or not own?(proxy, uri) do
      {:ok, [Target.new(uri)]}
    else
      case lookup.(uri) do
        nil ->
          {:error, ProxyError.new(:not_found)}

        [] ->
          {:error, ProxyError.new(:unavailable)}

        targets ->
          {:ok, targets |> Enum.map(&Target.new/1) |> Enum.sort_by(& &1.q, :desc)}
      end
    end
  end

  defp maddr?(uri),
    do: Sippet.Dialog.Route.parameter(uri.parameters, "maddr") not in [nil, ""]

  @doc """
  Makes the copy of a request that goes to a target (RFC 3261 §16.6): hand it to `Sippet.send/2`.

  `request` is as `preprocess_route/2` has returned it. The copy has the target's URI for Request-URI, without what §19.1.1
  forbids there (step 2); one hop less in Max-Forwards, or 70 (step 3); Max-Breadth (RFC 5393 §5.3.3), but in an ACK;
  Record-Route, if asked for, two of them where it leaves by another protocol than it came by (step 4, RFC 5658 §3); the routes
  of the target before its own; Route and Request-URI exchanged where the next hop is a strict router (step 6); and a Via
  with a branch by which a loop is found (step 8). The name in Via and Record-Route is that of the interface by which it
  will leave, as far as Route, Request-URI and target tell.

  `target` is a `Sippet.Proxy.Target` or a URI.

      iex> proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}, tcp: {"192.0.2.1", 5060}])
      iex> request =
      ...>   Sippet.Message.build_request(:invite, "sip:bob@biloxi.com")
      ...>   |> Sippet.Message.put_header(:via, [{{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK1"}}])
      ...>   |> Sippet.Message.put_header(:cseq, {1, :invite})
      iex> copy = Sippet.Proxy.forward_request(proxy, request, "sip:bob@192.0.2.4;transport=tcp", record_route: true)
      iex> [{_version, :tcp, {"192.0.2.1", 5060}, _parameters}, _pc33] = copy.headers.via
      iex> for {"", uri, _parameters} <- copy.headers.record_route, do: to_string(uri)
      ["sip:192.0.2.1:5060;transport=tcp;lr", "sip:192.0.2.1:5060;lr"]
      iex> {copy.headers.max_forwards, copy.headers["Max-Breadth"]}
      {70, ["60"]}
  """
  @spec forward_request(t, Message.request(), Target.t() | URI.t() | String.t(), [forward_option]) ::
          Message.request()
  def forward_request(%__MODULE__{} = proxy, %Message{} = request, target, options \\ []) do
    options = Keyword.validate!(options, [:max_breadth, record_route: false, branch: :stateful])
    target = Target.new(target)
    branch = branch(proxy, request, options[:branch])
    # Of what was received, not of the URI that takes the place of its own.
    copy = %{request | target: target.target, source: nil, defects: []}
    routed = route(copy, target)
    protocol = Route.outgoing(proxy, routed, target)
    {host, port} = Route.interface(proxy, protocol)

    routed
    |> count_down()
    |> put_breadth(proxy, request, options[:max_breadth])
    |> record_route(proxy, request, protocol, options[:record_route])
    |> add_via(protocol, host, port, %{"branch" => branch, "rport" => ""})
  end

  defp branch(proxy, request, :stateful), do: Branch.stateful(proxy, request)
  defp branch(proxy, request, :stateless), do: Branch.stateless(proxy, request)
  defp branch(_proxy, _request, branch) when is_binary(branch), do: branch

  defp route(%{start_line: start_line} = copy, target) do
    routes = target.route ++ Map.get(copy.headers, :route, [])
    protocol = target.protocol || :udp
    {uri, routes, strict} = Sippet.Dialog.Route.apply(routes, target.uri, protocol)

    %{copy | start_line: %{start_line | request_uri: uri}, target: copy.target || strict}
    |> Route.put_routes(routes)
  end

  # §16.6, step 3.
  defp count_down(copy) do
    hops =
      case copy.headers do
        %{max_forwards: hops} -> max(hops - 1, 0)
        _ -> 70
      end

    Message.put_header(copy, :max_forwards, hops)
  end

  defp put_breadth(%{start_line: %{method: method}} = copy, _proxy, _request, _breadth)
       when method in [:ack, :cancel],
       do: copy

  defp put_breadth(copy, proxy, request, breadth) do
    breadth =
      breadth ||
        case Validation.max_breadth(proxy, request) do
          {:ok, breadth} -> breadth
          :error -> proxy.max_breadth
        end

    Message.put_header(copy, "Max-Breadth", [Integer.to_string(breadth)])
  end

  defp record_route(copy, _proxy, _request, _protocol, false), do: copy

  defp record_route(copy, proxy, request, protocol, true) do
    uris = copy |> of_both_sides(proxy, request, protocol) |> Enum.dedup()
    add_record_route(copy, uris)
  end

  defp record_route(copy, proxy, request, protocol, {leaving_by, came_by}) do
    [leaving, came] = of_both_sides(copy, proxy, request, protocol)
    add_record_route(copy, [%{leaving | userinfo: leaving_by}, %{came | userinfo: came_by}])
  end

  defp record_route(copy, _proxy, _request, _protocol, uris) when is_list(uris),
    do: add_record_route(copy, uris)

  # Whether they are secure is told by the copy, whose Request-URI and Route count (§16.6, step 4).
  defp of_both_sides(copy, proxy, request, protocol) do
    [{_version, incoming, _sent_by, _parameters} | _] = request.headers.via
    for protocol <- [protocol, incoming], do: Route.record_route(proxy, copy, protocol)
  end

  @doc """
  Puts a value before all others of Record-Route, or several (RFC 3261 §16.6, step 4).

  A URI without `lr` gets it: this element is a loose router.

      iex> request = Sippet.Message.build_request(:invite, "sip:bob@biloxi.com")
      iex> request = Sippet.Proxy.add_record_route(request, "sip:p1.biloxi.com")
      iex> [{"", uri, %{}}] = request.headers.record_route
      iex> to_string(uri)
      "sip:p1.biloxi.com;lr"
  """
  @spec add_record_route(Message.request(), URI.t() | String.t() | [URI.t() | String.t()]) ::
          Message.request()
  def add_record_route(%Message{} = request, uris) do
    values = for uri <- List.wrap(uris), do: {"", loose(URI.parse!(uri)), %{}}

    Message.put_header(
      request,
      :record_route,
      values ++ Map.get(request.headers, :record_route, [])
    )
  end

  defp loose(%URI{parameters: parameters} = uri) do
    if Sippet.Dialog.Route.loose?(uri),
      do: %{uri | headers: nil},
      else: %{uri | headers: nil, parameters: (parameters || "") <> ";lr"}
  end

  @doc """
  Puts a value before all others of Via (RFC 3261 §16.6, step 8). Without a branch in `parameters` it gets a new one.

      iex> request = Sippet.Message.build_request(:invite, "sip:bob@biloxi.com")
      iex> request = Sippet.Proxy.add_via(request, :udp, "192.0.2.1", 5060)
      iex> [{{2, 0}, :udp, {"192.0.2.1", 5060}, %{"branch" => "z9hG4bK" <> _}}] = request.headers.via
  """
  @spec add_via(
          Message.request(),
          Message.protocol(),
          String.t(),
          :inet.port_number(),
          Headers.parameters()
        ) ::
          Message.request()
  def add_via(%Message{} = request, protocol, host, port, parameters \\ %{})
      when is_binary(host) and port in 0..65_535 do
    parameters = Map.put_new_lazy(parameters, "branch", &Message.create_branch/0)
    Message.put_header_front(request, :via, {{2, 0}, protocol, {host, port}, parameters})
  end

  @doc """
  Makes the response that goes upstream of one that was received (RFC 3261 §16.7, step 3): without its topmost Via.

  Hand it to `Sippet.send/2`. Returns `{:error, %Sippet.ProxyError{reason: :no_via}}` where that was the only one: the
  response is to a request of this element's own.

      iex> response =
      ...>   Sippet.Message.build_response(180)
      ...>   |> Sippet.Message.put_header(:via, [
      ...>     {{2, 0}, :udp, {"192.0.2.1", 5060}, %{"branch" => "z9hG4bK2"}},
      ...>     {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK1"}}
      ...>   ])
      iex> {:ok, response} = Sippet.Proxy.forward_response(response)
      iex> [{_version, :udp, {"pc33.atlanta.com", 5060}, _parameters}] = response.headers.via
  """
  @spec forward_response(Message.response()) ::
          {:ok, Message.response()} | {:error, ProxyError.t()}
  def forward_response(%Message{headers: headers} = response) do
    case headers do
      %{via: [_own, _next | _] = vias} ->
        response = Message.put_header(response, :via, tl(vias))
        {:ok, %{response | source: nil, target: nil, defects: []}}

      _ ->
        {:error, ProxyError.new(:no_via)}
    end
  end
end
