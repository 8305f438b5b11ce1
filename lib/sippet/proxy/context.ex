defmodule Sippet.Proxy.Context do
  @moduledoc """
  The response context of a stateful proxy (RFC 3261 §16.7): the branches of one request, and what has come back of them.

  A context is plain data, without processes, time or sockets. Each function returns it as it is then, and a list of actions
  to be carried out in their order:

    * `{:send_request, request}` - by `Sippet.send/2`; if that fails, `handle_error/3`
    * `{:send_response, response}` - upstream, by `Sippet.send/2`. After the first final response these can only be 2xx to an
      INVITE, which its server transaction takes as well (RFC 6026 §7.1)
    * `{:cancel, client_key}` - by `Sippet.cancel/2`, at most once for each branch
    * `{:start_timer_c, client_key, milliseconds}` - when it is over, `handle_timer_c/2`; starting it again restarts it
    * `{:stop_timer_c, client_key}`

  What must hold of them, whatever comes in whatever order: there is one final response other than 2xx at most, and none
  after a 2xx; and once `done?/1` there is one of either kind, but for a request other than INVITE that all branches have
  left without an answer (RFC 4320 §4.2).

  `Sippet.Proxy.Server` carries it all out.

      iex> alias Sippet.{Message, Proxy}
      iex> proxy = Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}])
      iex> invite = Message.parse!(\"""
      ...> INVITE sip:bob@biloxi.com SIP/2.0
      ...> Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8
      ...> From: Alice <sip:alice@atlanta.com>;tag=1928301774
      ...> To: Bob <sip:bob@biloxi.com>
      ...> Call-ID: a84b4c76e66710
      ...> CSeq: 314159 INVITE
      ...> \""")
      iex> {context, actions} = Proxy.Context.new(proxy, invite, ["sip:bob@192.0.2.4", "sip:bob@192.0.2.5"])
      iex> [desk, mobile] = for {:send_request, request} <- actions, do: request
      iex> {context, [{:stop_timer_c, _}, {:send_response, ok}, {:stop_timer_c, key}, {:cancel, key}]} =
      ...>   Proxy.Context.handle_response(context, Message.to_response(desk, 200))
      iex> {ok.headers.via == invite.headers.via, key == Sippet.Transactions.Client.Key.new(mobile)}
      {true, true}
      iex> {context, [stop_timer_c: ^key]} =
      ...>   Proxy.Context.handle_response(context, Message.to_response(mobile, 487))
      iex> Proxy.Context.done?(context)
      true
  """

  alias Sippet.{Message, Proxy}
  alias Sippet.Proxy.{Best, Target, Validation}
  alias Sippet.Transactions.Client.Key

  @enforce_keys [:proxy, :request, :breadth, :groups, :options]
  defstruct @enforce_keys ++
              [flows: %{}, branches: %{}, outcomes: [], final: nil, cancelled: false]

  # state: :calling, :proceeding or :completed (of the branch, not of its transaction)
  @typep branch :: %{
           state: :calling | :proceeding | :completed,
           breadth: pos_integer,
           cancelled: boolean,
           instance: term
         }

  @typedoc """
  A response context. `final` is the status code of the first final response that went upstream, nil before; the other fields
  are for its own functions.
  """
  @type t :: %__MODULE__{
          proxy: Proxy.t(),
          request: Message.request(),
          breadth: pos_integer,
          groups: [[Target.t()]],
          flows: %{term => [Target.t()]},
          options: keyword,
          branches: %{Key.t() => branch},
          outcomes: [Best.outcome()],
          final: Message.StatusLine.status_code() | nil,
          cancelled: boolean
        }

  @type action ::
          {:send_request, Message.request()}
          | {:send_response, Message.response()}
          | {:cancel, Key.t()}
          | {:start_timer_c, Key.t(), pos_integer}
          | {:stop_timer_c, Key.t()}

  @doc """
  Begins with a request, as `Sippet.Proxy.preprocess_route/2` has returned it, and its targets.

  Targets with the same `q` are tried at the same time, those with a lower one when all before have failed. They share what
  Max-Breadth allows (RFC 5393 §5.3.3); where it does not suffice for all, some wait until others have ended.

  Of targets with the same `instance` the first one is tried. Another takes its place if its flow has failed: by a 430, a 408, no
  answer, or because it cannot be reached (RFC 5626 §7). Where that was the last one it counts as a 480.

  Options are `:record_route` of `t:Sippet.Proxy.forward_option/0`, or a function that gets the target and returns that.
  Raises `ArgumentError` without targets, and for an ACK or a CANCEL, which have no context.
  """
  @spec new(Proxy.t(), Message.request(), [Target.t() | Sippet.URI.t() | String.t()], keyword) ::
          {t, [action]}
  def new(%Proxy{} = proxy, %Message{} = request, targets, options \\ []) do
    options = Keyword.validate!(options, record_route: false)

    if targets == [], do: raise(ArgumentError, "expected at least one target, got: []")

    if request.start_line.method in [:ack, :cancel] do
      raise ArgumentError,
            "expected a request other than ACK and CANCEL, got: #{request.start_line.method}"
    end

    breadth =
      case Validation.max_breadth(proxy, request) do
        {:ok, breadth} -> max(breadth, 1)
        :error -> 1
      end

    {targets, flows} =
      targets |> Enum.map(&Target.new/1) |> Enum.sort_by(& &1.q, :desc) |> by_instance()

    start(%__MODULE__{
      proxy: proxy,
      request: request,
      breadth: breadth,
      groups: Enum.chunk_by(targets, & &1.q),
      flows: flows,
      options: options
    })
  end

  # Of each instance the first target; the others are further flows to it.
  defp by_instance(targets) do
    named = for %{instance: instance} = target when instance != nil <- targets, do: target
    flows = named |> Enum.group_by(& &1.instance) |> Map.new(fn {key, all} -> {key, tl(all)} end)

    {targets -- Enum.concat(Map.values(flows)), flows}
  end

  @doc """
  Tells whether all branches have ended: nothing more is to be done or awaited, but for further 2xx of branches that have
  forked behind this proxy. Those need no context: `Sippet.Proxy.forward_response/1` and `Sippet.send/2` forward them.
  """
  @spec done?(t) :: boolean
  def done?(%__MODULE__{} = context), do: context.groups == [] and pending(context) == []

  @doc """
  A response came (RFC 3261 §16.7). One that belongs to no branch changes nothing.
  """
  @spec handle_response(t, Message.response()) :: {t, [action]}
  def handle_response(%__MODULE__{} = context, %Message{} = response) do
    key = Key.new(response)

    case context.branches do
      %{^key => branch} -> received(context, key, branch, response)
      _ -> {context, []}
    end
  end

  defp received(context, key, branch, %{start_line: %{status_code: status_code}} = response) do
    cond do
      status_code < 200 and branch.state == :completed ->
        {context, []}

      status_code < 200 ->
        provisional(put_branch(context, key, %{branch | state: :proceeding}), key, response)

      status_code in 200..299 ->
        {context, stopped} = complete(context, key, branch, response)
        {context, actions} = success(context, response)
        {context, stopped ++ actions}

      branch.state == :completed ->
        {context, []}

      true ->
        fail(context, key, branch, response)
    end
  end

  @doc """
  A branch has failed without a response: its client transaction timed out, which counts as a 408, or its request could not
  be sent, which counts as a 503 (RFC 3261 §16.9, §8.1.3.1). `reason` is that of `c:Sippet.Core.receive_error/2` or what
  `Sippet.send/2` returned.
  """
  @spec handle_error(t, Key.t(), term) :: {t, [action]}
  def handle_error(%__MODULE__{} = context, %Key{} = key, reason) do
    case context.branches do
      %{^key => %{state: state} = branch} when state != :completed ->
        fail(context, key, branch, if(reason == :timeout, do: :timeout, else: :unreachable))

      _ ->
        {context, []}
    end
  end

  @doc """
  Timer C of a branch has fired (RFC 3261 §16.8): an INVITE that rings is cancelled, one that had no answer at all has timed
  out.
  """
  @spec handle_timer_c(t, Key.t()) :: {t, [action]}
  def handle_timer_c(%__MODULE__{} = context, %Key{} = key) do
    case context.branches do
      %{^key => %{state: :proceeding}} -> cancel(context, [key])
      %{^key => %{state: :calling}} -> handle_error(context, key, :timeout)
      _ -> {context, []}
    end
  end

  @doc """
  The client has cancelled its INVITE (RFC 3261 §16.10): so are all branches, and no further target is tried. The CANCEL
  itself is answered 200 by whoever calls this; the INVITE gets the best of what the branches answer, 487 mostly.
  """
  @spec handle_cancel(t) :: {t, [action]}
  def handle_cancel(%__MODULE__{final: nil, request: %{start_line: %{method: :invite}}} = context) do
    context = %{context | groups: [], flows: %{}, cancelled: true}
    cancel(context, pending(context))
  end

  def handle_cancel(%__MODULE__{} = context), do: {context, []}

  # §16.7, steps 2 and 5. A 100 is for this hop only, and does not restart Timer C.
  defp provisional(context, _key, %{start_line: %{status_code: 100}}), do: {context, []}

  defp provisional(context, key, response) do
    timer = if context.branches[key].cancelled, do: [], else: timer_c(context, key)
    forward = if context.final == nil, do: [send_response: upstream(context, response)], else: []
    {context, timer ++ forward}
  end

  # §16.7, steps 5 and 10: a 2xx goes up at once, and to an INVITE each of them; the other branches are cancelled.
  defp success(%{final: nil} = context, response) do
    context = %{context | groups: [], flows: %{}, final: response.start_line.status_code}
    {context, cancels} = cancel(context, pending(context))
    {context, [{:send_response, upstream(context, response)} | cancels]}
  end

  defp success(%{request: %{start_line: %{method: :invite}}} = context, response),
    do: {context, [send_response: upstream(context, response)]}

  defp success(context, _response), do: {context, []}

  # A branch has ended without a 2xx. Where only its flow has failed the next flow to its instance takes its place (RFC 5626 §7).
  defp fail(context, key, %{instance: instance} = branch, outcome) do
    case {flow_failed?(outcome) and not branch.cancelled, context.flows} do
      {true, %{^instance => [next | flows]}} ->
        context = put_branch(context, key, %{branch | state: :completed})
        context = %{context | flows: Map.put(context.flows, instance, flows)}
        {context, started} = open(context, next, branch.breadth)
        {context, stop_timer_c(context, key) ++ started}

      _other ->
        context = %{context | flows: Map.delete(context.flows, instance)}
        {context, stopped} = complete(context, key, branch, outcome(branch, outcome))
        {context, actions} = failure(context, class(outcome))
        {context, stopped ++ actions}
    end
  end

  defp flow_failed?(%Message{start_line: %{status_code: status_code}}),
    do: status_code in [408, 430]

  defp flow_failed?(_timeout_or_unreachable), do: true

  # No endpoint should get a 430 (RFC 5626 §11.4); a proxy before this one that has a choice of flows does.
  defp outcome(%{instance: instance}, %Message{start_line: %{status_code: 430}})
       when instance != nil,
       do: :no_flow

  defp outcome(_branch, outcome), do: outcome

  defp class(%Message{start_line: %{status_code: status_code}}), do: div(status_code, 100)
  defp class(_timeout_or_unreachable), do: nil

  # §16.7, step 5: a 6xx ends the search, but goes up only when all branches have ended.
  defp failure(%{final: nil} = context, 6) do
    context = %{context | groups: [], flows: %{}}
    {context, cancels} = cancel(context, pending(context))
    {context, chosen} = conclude(context)
    {context, cancels ++ chosen}
  end

  defp failure(%{final: nil} = context, _class) do
    {context, started} = start(context)
    {context, chosen} = conclude(context)
    {context, started ++ chosen}
  end

  defp failure(context, _class), do: {context, []}

  # §16.7, step 6.
  defp conclude(context) do
    if done?(context) do
      case Best.response(context.proxy, context.request, Enum.reverse(context.outcomes)) do
        nil ->
          {context, []}

        best ->
          context = %{context | final: best.start_line.status_code}
          {context, [send_response: upstream(context, best)]}
      end
    else
      {context, []}
    end
  end

  # The Via of the request as it came: what a peer has made of it in between is of no account.
  defp upstream(%{request: request}, response) do
    response = Message.put_header(response, :via, request.headers.via)
    %{response | source: nil, target: nil, defects: []}
  end

  # Targets of the first group, as many as there is breadth for; the next group when all of it has ended.
  defp start(%{groups: []} = context), do: {context, []}

  defp start(%{groups: [group | later]} = context) do
    pending = pending(context)
    used = pending |> Enum.map(&context.branches[&1].breadth) |> Enum.sum()
    free = context.breadth - used

    cond do
      group == [] and pending == [] -> start(%{context | groups: later})
      group == [] or free == 0 -> {context, []}
      true -> start_some(context, Enum.split(group, free), later, free)
    end
  end

  defp start_some(context, {now, waiting}, later, free) do
    # An empty group is kept while its branches are under way, so that the next one waits for them.
    groups = if waiting == [] and later == [], do: [], else: [waiting | later]
    each = div(free, length(now))
    more = rem(free, length(now))

    now
    |> Enum.with_index()
    |> Enum.reduce({%{context | groups: groups}, []}, fn {target, index}, {context, actions} ->
      breadth = each + if(index < more, do: 1, else: 0)
      {context, branch_actions} = open(context, target, breadth)
      {context, actions ++ branch_actions}
    end)
  end

  defp open(context, target, breadth) do
    record_route =
      case context.options[:record_route] do
        function when is_function(function, 1) -> function.(target)
        other -> other
      end

    request =
      Proxy.forward_request(context.proxy, context.request, target,
        max_breadth: breadth,
        record_route: record_route
      )

    key = Key.new(request)
    branch = %{state: :calling, breadth: breadth, cancelled: false, instance: target.instance}
    context = put_branch(context, key, branch)
    {context, [{:send_request, request} | timer_c(context, key)]}
  end

  defp timer_c(%{request: %{start_line: %{method: :invite}}} = context, key),
    do: [{:start_timer_c, key, context.proxy.timer_c_ms}]

  defp timer_c(_context, _key), do: []

  defp stop_timer_c(%{request: %{start_line: %{method: :invite}}}, key), do: [stop_timer_c: key]
  defp stop_timer_c(_context, _key), do: []

  defp complete(context, _key, %{state: :completed}, _outcome), do: {context, []}

  defp complete(context, key, branch, outcome) do
    context = put_branch(context, key, %{branch | state: :completed})
    {%{context | outcomes: [outcome | context.outcomes]}, stop_timer_c(context, key)}
  end

  # Only an INVITE can be cancelled (§9.1), each branch once. From then on the transaction itself bounds the wait.
  defp cancel(%{request: %{start_line: %{method: :invite}}} = context, keys) do
    Enum.reduce(keys, {context, []}, fn key, {context, actions} ->
      case context.branches[key] do
        %{cancelled: false} = branch ->
          context = put_branch(context, key, %{branch | cancelled: true})
          {context, actions ++ [stop_timer_c: key, cancel: key]}

        _cancelled ->
          {context, actions}
      end
    end)
  end

  defp cancel(context, _keys), do: {context, []}

  # In the order of their keys, so that the same input gives the same actions.
  defp pending(context) do
    for {key, %{state: state}} <- Enum.sort_by(context.branches, &elem(&1, 0).branch),
        state != :completed,
        do: key
  end

  defp put_branch(context, key, branch),
    do: %{context | branches: Map.put(context.branches, key, branch)}
end
