defmodule Sippet.Resolver.Procedure do
  # RFC 3263 §4 as a function of a question and of look-ups: which records are asked for, what is made of them, in which
  # order. Knows no process, socket or cache; run by Sippet.Resolver.DNS in the process that asks.
  @moduledoc false

  alias Sippet.ResolverError
  alias Sippet.Resolver.{Name, Question, Selection, Service, Target}

  # How often a NAPTR record may lead to others (flags "", RFC 3403 §4.1), and a CNAME to a name that is asked for anew.
  @max_rewrites 3
  @max_alias_rounds 4

  @enforce_keys [:question, :protocols, :lookup, :config, :left]
  defstruct @enforce_keys

  @doc """
  The targets of a question.

  `lookup` gets a list of `{type, name}`, to be looked up side by side, and returns a `t:Sippet.Resolver.Answer.t/0` or
  another error for each, in order. `config` has `:families`, `:max_queries`, `:max_targets` and `:random`.
  """
  @spec run(Question.t(), map, ([{atom, String.t()}] -> [term])) ::
          {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}
  def run(%Question{} = question, config, lookup) do
    state = %__MODULE__{
      question: question,
      protocols: protocols(question),
      lookup: lookup,
      config: config,
      left: config.max_queries
    }

    with {:error, reason, choices} <- locate(state, Name.literal(question.host)) do
      {:error, %ResolverError{reason: reason, host: question.host, choices: choices}}
    else
      {:ok, targets} ->
        targets = Enum.uniq_by(targets, &{&1.transport, &1.address, &1.port})
        {:ok, targets |> Enum.take(config.max_targets) |> Enum.map(&finish(&1, question))}
    end
  end

  defp finish(target, %Question{domain: domain, host: host}) do
    first = if host == domain, do: [], else: [{:maddr, host}]
    %{target | domain: domain, choices: first ++ target.choices}
  end

  # The protocols that the URI allows and the stack has, the preferred first.
  defp protocols(%Question{transport: nil, secure: secure} = question),
    do:
      for(
        {protocol, _} <- question.transports,
        not secure or Service.secure?(protocol),
        do: protocol
      )

  defp protocols(%Question{transport: transport, secure: secure} = question) do
    transport = if secure, do: Service.secured(transport), else: transport
    for {^transport, _families} <- question.transports, do: transport
  end

  defp locate(%{protocols: []}, _literal), do: {:error, :no_transport, []}

  defp locate(state, {:ok, address}) do
    family = Name.family(address)

    case Enum.filter(state.protocols, &(family in families(state, &1))) do
      [] ->
        {:error, :no_transport, []}

      protocols ->
        protocol = default(state.question, protocols)
        port = port(state.question, protocol)
        choices = chosen(state, protocol) ++ [{:literal, state.question.host}]
        {:ok, [%Target{transport: protocol, address: address, port: port, choices: choices}]}
    end
  end

  defp locate(state, :error) do
    case Name.normalise(state.question.host) do
      {:ok, name} -> by_name(state, name)
      :error -> {:error, :bad_name, []}
    end
  end

  # §4.2: with a port only addresses. So of this machine's own names, which DNS is not asked about.
  defp by_name(%{question: %{port: port, transport: transport}} = state, name) do
    cond do
      port != nil or Name.localhost?(name) -> by_default(state, name, [])
      transport != nil -> by_srv(state, name, state.protocols, [])
      true -> by_naptr(state, name)
    end
  end

  defp by_naptr(state, name) do
    case naptr(state, name, [], @max_rewrites) do
      {:none, reason, state} ->
        # §4.1: `_sip` of a sip URI, `_sips` of a sips URI, and of a sip URI only where there is nothing else.
        plain = Enum.reject(state.protocols, &Service.secure?/1)
        protocols = if plain == [], do: state.protocols, else: plain
        by_srv(state, name, protocols, [{:no_naptr, name, reason}])

      {result, _state} ->
        result
    end
  end

  defp by_srv(state, name, protocols, choices) do
    pairs =
      for protocol <- protocols,
          prefix = Service.srv_prefix(protocol),
          {:ok, owner} <- [Name.normalise(prefix <> name)],
          do: {protocol, owner}

    before = if state.question.transport, do: chosen(state, hd(protocols)), else: []

    case srv(state, pairs, before ++ choices) do
      {{:none, more}, state} -> by_default(state, name, choices ++ more)
      {result, _state} -> result
    end
  end

  # §4.2, the last resort: addresses of the name itself.
  defp by_default(state, name, choices) do
    protocol = default(state.question, state.protocols)
    choices = chosen(state, protocol) ++ choices
    port = port(state.question, protocol)
    {result, _state} = addresses(state, protocol, [{name, port, choices}])
    result
  end

  # §4.1: UDP, TLS for sips; what the caller prefers, or else has, where there is no such transport.
  defp default(question, protocols) do
    usual = if question.secure, do: :tls, else: :udp
    Enum.find([question.default, usual], hd(protocols), &(&1 in protocols))
  end

  defp port(%{port: nil}, protocol), do: Service.default_port(protocol)
  defp port(%{port: port}, _protocol), do: port

  defp chosen(%{question: question}, protocol) do
    why = if question.transport, do: :uri, else: :default
    port = if question.port, do: [{:port, question.port}], else: []
    [{:transport, protocol, why} | port]
  end

  # NAPTR (§4.1): the first record that leads to a target, by order and preference.
  defp naptr(state, name, choices, rewrites) do
    {answer, state} = ask_one(state, {:naptr, name})

    case answer do
      {:ok, records} ->
        case records
             |> Enum.filter(&usable?(&1, state))
             |> Enum.sort_by(&{&1.order, &1.preference}) do
          [] -> {:none, :not_usable, state}
          records -> follow(records, state, name, choices, rewrites, nil)
        end

      {:error, reason} ->
        {:none, reason, state}
    end
  end

  # Where there is a regexp the replacement is none (RFC 3403 §4.1); SIP has no use for it.
  defp usable?(record, state) do
    not record.regexp? and record.replacement != "" and record.flags in ["s", "a", ""] and
      Service.transport(record.service) in state.protocols
  end

  defp follow([], state, _name, _choices, _rewrites, error), do: {error, state}

  defp follow([record | more], state, name, choices, rewrites, error) do
    protocol = Service.transport(record.service)

    choice = {:naptr, name, record.service, {record.order, record.preference}, record.replacement}

    choices = choices ++ [choice]

    {result, state} =
      case record.flags do
        "s" ->
          srv(state, [{protocol, record.replacement}], choices)

        "a" ->
          host = {record.replacement, Service.default_port(protocol), choices}
          addresses(state, protocol, [host])

        "" when rewrites > 0 ->
          case naptr(state, record.replacement, choices, rewrites - 1) do
            {:none, reason, state} -> {{:error, reason, choices}, state}
            result -> result
          end

        "" ->
          {{:error, :too_many_queries, choices}, state}
      end

    case result do
      {:ok, targets} ->
        {{:ok, targets}, state}

      {:none, more_choices} ->
        {:no_srv, _name, reason} = List.last(more_choices)
        error = error || {:error, failure(reason), choices ++ more_choices}
        follow(more, state, name, Enum.drop(choices, -1), rewrites, error)

      {:error, _reason, _choices} ->
        follow(more, state, name, Enum.drop(choices, -1), rewrites, error || result)
    end
  end

  # SRV (§4.2) of `{protocol, name}`: the first that has a target. `{:none, choices}` where there are no records at all.
  defp srv(state, pairs, choices) do
    {answers, state} = ask(state, for({_protocol, name} <- pairs, do: {:srv, name}))
    first_srv(pairs, answers, state, choices, [], nil)
  end

  defp first_srv([], _answers, state, _choices, missing, nil), do: {{:none, missing}, state}
  defp first_srv([], _answers, state, _choices, _missing, error), do: {error, state}

  defp first_srv([{protocol, name} | more], answers, state, choices, missing, error) do
    choices_here = choices ++ missing

    case answers[{:srv, name}] do
      {:ok, records} ->
        case Enum.reject(records, &(&1 == :root)) do
          [] ->
            error = error || {:error, :not_available, choices_here ++ [{:srv, name, :root}]}
            first_srv(more, answers, state, choices, missing, error)

          records ->
            case srv_targets(state, protocol, name, records, choices_here) do
              {{:ok, targets}, state} ->
                {{:ok, targets}, state}

              {failure, state} ->
                first_srv(more, answers, state, choices, missing, error || failure)
            end
        end

      {:error, reason} ->
        missing = missing ++ [{:no_srv, name, reason}]
        first_srv(more, answers, state, choices, missing, error)
    end
  end

  defp srv_targets(state, protocol, name, records, choices) do
    hosts =
      for {priority, weight, port, target} <- Selection.order(records, state.config.random) do
        {target, port, choices ++ [{:srv, name, {priority, weight, port, target}}]}
      end

    addresses(state, protocol, Enum.take(hosts, state.config.max_targets))
  end

  # A and AAAA of `{name, port, choices}`, side by side; those without addresses are passed over (§4.2).
  defp addresses(state, protocol, hosts) do
    types = for family <- families(state, protocol), do: type(family)
    keys = for {name, _port, _choices} <- hosts, type <- types, do: {type, name}
    {answers, state} = ask(state, keys)

    targets =
      for {name, port, choices} <- hosts,
          type <- types,
          {:ok, addresses} <- [answers[{type, name}]],
          address <- addresses do
        %Target{
          transport: protocol,
          address: address,
          port: port,
          choices: choices ++ [{:address, name, type}]
        }
      end

    if targets == [] do
      {_name, _port, choices} = hd(hosts)
      {{:error, failure(Map.values(answers)), choices}, state}
    else
      {{:ok, targets}, state}
    end
  end

  # Why there is none: what might be otherwise next time tells more than what is not there.
  defp failure(answers) when is_list(answers) do
    reasons = for {:error, reason} <- answers, uniq: true, do: reason

    case reasons -- [:nxdomain, :no_records] do
      [reason | _] -> reason
      [] -> if reasons == [:nxdomain], do: :nxdomain, else: :no_addresses
    end
  end

  defp failure(:no_records), do: :no_addresses
  defp failure(reason), do: reason

  # As the resolver is configured to order them, among those that the transport has.
  defp families(state, protocol) do
    has = for {^protocol, families} <- state.question.transports, family <- families, do: family
    Enum.filter(state.config.families, &(&1 in has))
  end

  defp type(:inet), do: :a
  defp type(:inet6), do: :aaaa

  defp ask_one(state, key) do
    {answers, state} = ask(state, [key])
    {Map.fetch!(answers, key), state}
  end

  defp ask(state, keys, rounds \\ @max_alias_rounds)
  defp ask(state, [], _rounds), do: {%{}, state}

  defp ask(state, keys, rounds) do
    {asked, left_out} = keys |> Enum.uniq() |> Enum.split(state.left)
    state = %{state | left: state.left - length(asked)}
    answers = if asked == [], do: [], else: state.lookup.(asked)
    answers = Map.new(Enum.zip(asked, answers))
    answers = Enum.reduce(left_out, answers, &Map.put(&2, &1, {:error, :too_many_queries}))
    aliases = for {{type, _} = key, {:alias, name}} <- answers, do: {key, {type, name}}
    follow_aliases(state, answers, aliases, rounds)
  end

  defp follow_aliases(state, answers, [], _rounds), do: {answers, state}

  defp follow_aliases(state, answers, aliases, 0) do
    {Enum.reduce(aliases, answers, fn {key, _}, answers ->
       Map.put(answers, key, {:error, :server_failure})
     end), state}
  end

  defp follow_aliases(state, answers, aliases, rounds) do
    {more, state} = ask(state, for({_key, key} <- aliases, do: key), rounds - 1)

    {Enum.reduce(aliases, answers, fn {key, target}, answers ->
       Map.put(answers, key, Map.fetch!(more, target))
     end), state}
  end
end
