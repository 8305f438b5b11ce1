defmodule Sippet.Outbound do
  @moduledoc """
  Flows that clients open, and registrations by them (RFC 5626): what user agents, edge proxies and registrars write and read.

  A user agent registers by `put_registration/2`, once for each of its flows, and keeps the flow of the response alive; see
  `Sippet.keep_alive/3`. When that fails it waits as long as `retry_ms/2` says and registers anew. An edge proxy adds itself by
  `put_path/3`. A registrar asks `check_registration/1` what is wanted, keeps one binding for each instance and reg-id, and answers
  by `confirm/2`. `guides/transports.md` shows all three.

  All functions are pure, but that `put_path/3` asks the stack for a token and `retry_ms/2` for a random number.
  """

  alias Sippet.{Flow, Message, URI}

  @typedoc "An instance, as a URN without brackets: `urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF`."
  @type instance :: String.t()

  @typedoc "Which of the flows of an instance; the same one again when it is registered anew."
  @type reg_id :: 1..0x7FFFFFFF

  @max_reg_id 0x7FFFFFFF

  # §4.5
  @base_ms 90_000
  @base_all_failed_ms 30_000
  @max_ms 1_800_000

  # More of them change nothing.
  @max_failures 32

  @doc """
  A REGISTER for one flow: `reg-id` and `+sip.instance` in its Contact, `path` and `outbound` in Supported (§4.2.1).

  Options, both required:

    * `:instance` - a `t:instance/0`, which outlives restarts (§4.1)
    * `:reg_id` - a `t:reg_id/0`

  Raises `ArgumentError` where one is missing or not of its kind, or where the request has not one Contact.

      iex> register =
      ...>   Sippet.Message.build_request(:register, "sip:example.com")
      ...>   |> Sippet.Message.put_header(:contact, [{"", Sippet.URI.parse!("sip:bob@192.0.2.2"), %{}}])
      ...>   |> Sippet.Outbound.put_registration(instance: "urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF", reg_id: 1)
      iex> [{_name, _uri, parameters}] = register.headers.contact
      iex> {parameters, register.headers.supported}
      {%{"reg-id" => "1", "+sip.instance" => "<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"}, ["path", "outbound"]}
  """
  @spec put_registration(Message.request(), instance: instance, reg_id: reg_id) ::
          Message.request()
  def put_registration(%Message{} = register, options) do
    {instance, reg_id} = registration!(options)

    case register.headers do
      %{contact: [{name, uri, parameters}]} ->
        parameters =
          Map.merge(parameters, %{
            "reg-id" => Integer.to_string(reg_id),
            "+sip.instance" => "<#{instance}>"
          })

        register
        |> Message.put_header(:contact, [{name, uri, parameters}])
        |> put_tokens(:supported, ["path", "outbound"])

      _none_or_many ->
        raise ArgumentError, "expected the request to have one Contact"
    end
  end

  defp registration!(options) do
    case Enum.sort(options) do
      [instance: "urn:" <> _ = instance, reg_id: reg_id]
      when is_integer(reg_id) and reg_id in 1..@max_reg_id ->
        {instance, reg_id}

      _other ->
        raise ArgumentError,
              "expected options to be :instance, a URN, and :reg_id, 1 to #{@max_reg_id}, got: #{inspect(options)}"
    end
  end

  defp put_tokens(message, header, tokens) do
    present = Message.get_header(message, header, [])
    lower = Enum.map(present, &String.downcase(&1, :ascii))
    Message.put_header(message, header, present ++ Enum.reject(tokens, &(&1 in lower)))
  end

  @doc """
  Whether the registrar keeps this flow: a 2xx with `outbound` in Require (§4.2.1, §6).

  Where it does not, the registration is an ordinary one, and the peer may not answer keep-alives.
  """
  @spec confirmed?(Message.response()) :: boolean
  def confirmed?(%Message{start_line: %{status_code: status_code}} = response),
    do: status_code in 200..299 and token?(response, :require)

  defp token?(message, header) do
    message
    |> Message.get_header(header, [])
    |> Enum.any?(&(String.downcase(&1, :ascii) == "outbound"))
  end

  @doc """
  How often the edge proxy wants to hear of the flow, in milliseconds: the Flow-Timer of its response; nil without (§4.4, §10).

  It is the `:interval` of `Sippet.keep_alive/3`. A Flow-Timer that is no positive number is none.

      iex> response = Sippet.Message.put_header(Sippet.Message.build_response(200), "Flow-Timer", ["120"])
      iex> Sippet.Outbound.flow_timer(response)
      120_000
  """
  @spec flow_timer(Message.response()) :: pos_integer | nil
  def flow_timer(%Message{} = response) do
    case Message.decode_header(response, "Flow-Timer") do
      {:ok, seconds} when is_integer(seconds) and seconds > 0 -> 1_000 * seconds
      _none -> nil
    end
  end

  @doc """
  How long to wait before the next try to open a flow, in milliseconds (§4.5).

  `failures` are the tries that have failed in a row for this URI. Of `min(30 min, base * 2 ^ failures)` it is between 50 and 100
  percent, at random.

  Options:

    * `:all_failed` - whether no flow of the instance is left: the base is then 30 s, else 90 s; default false
    * `:random` - a function that returns a float from 0.0 to 1.0; default `&:rand.uniform/0`
    * `:base_ms`, `:max_ms` - other times than those

      iex> Sippet.Outbound.retry_ms(3, all_failed: true, random: fn -> 1.0 end)
      240_000
      iex> Sippet.Outbound.retry_ms(3, all_failed: true, random: fn -> 0.0 end)
      120_000
  """
  @spec retry_ms(non_neg_integer,
          all_failed: boolean,
          random: (() -> float),
          base_ms: pos_integer,
          max_ms: pos_integer
        ) :: pos_integer
  def retry_ms(failures, options \\ []) when is_integer(failures) and failures >= 0 do
    for {name, _value} <- options, name not in [:all_failed, :random, :base_ms, :max_ms] do
      raise ArgumentError,
            "expected options among :all_failed, :random, :base_ms and :max_ms, got: #{inspect(name)}"
    end

    base = if options[:all_failed], do: @base_all_failed_ms, else: @base_ms
    base = Keyword.get(options, :base_ms, base)
    doubled = Bitwise.bsl(base, min(failures, @max_failures))
    bound = min(Keyword.get(options, :max_ms, @max_ms), doubled)
    random = Keyword.get(options, :random, &:rand.uniform/0)
    max(round(bound * (0.5 + random.() / 2)), 1)
  end

  @doc """
  Whether a URI has the parameter `ob`: of a Path that the first hop supports this (§5.1), of a Contact that requests in the
  dialog are to come by the same flow (§4.3).

      iex> Sippet.Outbound.ob?(Sippet.URI.parse!("sip:token@edge.example.com;lr;ob"))
      true
  """
  @spec ob?(URI.t()) :: boolean
  def ob?(%URI{parameters: nil}), do: false

  def ob?(%URI{parameters: parameters}) do
    parameters
    |> URI.parameters_decoder()
    |> Enum.any?(fn {name, _value} -> String.downcase(name, :ascii) == "ob" end)
  end

  @doc """
  A URI with the parameter `ob`.

      iex> "sip:bob@192.0.2.2;transport=tcp" |> Sippet.URI.parse!() |> Sippet.Outbound.put_ob() |> to_string()
      "sip:bob@192.0.2.2;transport=tcp;ob"
  """
  @spec put_ob(URI.t()) :: URI.t()
  def put_ob(%URI{} = uri) do
    if ob?(uri), do: uri, else: %{uri | parameters: (uri.parameters || "") <> ";ob"}
  end

  @doc """
  A REGISTER that was received, with a Path to this edge proxy on top: `uri` with the token of the flow that it came by, `lr` and,
  where it came from the user agent itself, `ob` (§5.1).

  `uri` is that of the proxy, without a user part and parameters. Requests that come back by it have it for their topmost Route; the
  flow is told by `Sippet.Flow.from_token/2` of its `userinfo`.

  Raises `ArgumentError` where the request was not received, or `uri` has a user part.
  """
  @spec put_path(Sippet.sippet(), Message.request(), URI.t() | String.t()) :: Message.request()
  def put_path(sippet, %Message{source: %Flow{} = flow} = register, uri) when is_atom(sippet) do
    uri = URI.parse!(uri)

    if uri.userinfo do
      raise ArgumentError, "expected :uri argument to have no user part, got: #{uri}"
    end

    uri = %{uri | userinfo: Flow.to_token(sippet, flow), parameters: ";lr"}
    # Of the next hops none can tell what the first can do.
    uri = if length(register.headers.via) == 1, do: put_ob(uri), else: uri
    [path] = Message.encode_header("Path", [{"", uri, %{}}])
    Message.put_header_front(register, "Path", path)
  end

  def put_path(_sippet, %Message{}, _uri),
    do: raise(ArgumentError, "expected :register argument to be a request that was received")

  @doc """
  What a REGISTER asks of its registrar (§6).

    * `{:outbound, instance, reg_id}` - a flow: its binding replaces the one of the same two, whatever their Contacts are
    * `:ordinary` - it is none of this document's; a `reg-id` that it may have is to be ignored
    * `{:error, 400}` - several Contacts and a `reg-id`, or one that is no number
    * `{:error, 439}` - there are proxies on the way, and the first of them is none for flows
  """
  @spec check_registration(Message.request()) ::
          {:outbound, instance, reg_id} | :ordinary | {:error, 400 | 439}
  def check_registration(%Message{headers: headers} = register) do
    contacts = with text when is_binary(text) <- Map.get(headers, :contact, []), do: []
    kept = Enum.filter(contacts, &kept?(&1, headers))

    cond do
      not Enum.any?(contacts, &is_map_key(elem(&1, 2), "reg-id")) -> :ordinary
      length(kept) > 1 and Enum.any?(kept, &is_map_key(elem(&1, 2), "reg-id")) -> {:error, 400}
      not token?(register, :supported) -> :ordinary
      true -> contacts |> Enum.find(&is_map_key(elem(&1, 2), "reg-id")) |> flow(register)
    end
  end

  defp kept?({_name, _uri, %{"expires" => expires}}, _headers), do: expires != "0"
  defp kept?(_contact, headers), do: Map.get(headers, :expires) != 0

  defp flow({_name, _uri, parameters}, register) do
    with %{"+sip.instance" => "<" <> instance} <- parameters,
         true <- String.ends_with?(instance, ">"),
         {reg_id, ""} when reg_id in 1..@max_reg_id <- Integer.parse(parameters["reg-id"]) do
      if first_hop?(register),
        do: {:outbound, String.trim_trailing(instance, ">"), reg_id},
        else: {:error, 439}
    else
      # An instance alone is one of RFC 5627, a reg-id alone nobody's.
      %{} -> :ordinary
      _malformed -> {:error, 400}
    end
  end

  # The user agent itself has sent it; else who got it from there has written the Path that stands last (RFC 3327 §5.2).
  defp first_hop?(%Message{headers: %{via: [_only]}}), do: true

  defp first_hop?(register) do
    case Message.decode_header(register, "Path") do
      {:ok, [_ | _] = path} -> path |> List.last() |> elem(1) |> ob?()
      _none -> false
    end
  end

  @doc """
  The 200 to a REGISTER whose flow is kept: `outbound` in Require (§6) and, with `:flow_timer`, that many seconds in Flow-Timer
  (§5.4): the peer should be heard of at least that often.
  """
  @spec confirm(Message.response(), flow_timer: pos_integer) :: Message.response()
  def confirm(%Message{} = response, options \\ []) do
    response = put_tokens(response, :require, ["outbound"])

    case options do
      [] ->
        response

      [flow_timer: seconds] when is_integer(seconds) and seconds > 0 ->
        Message.put_header(response, "Flow-Timer", Message.encode_header("Flow-Timer", seconds))

      _other ->
        raise ArgumentError,
              "expected options to be [] or [flow_timer: seconds], got: #{inspect(options)}"
    end
  end
end
