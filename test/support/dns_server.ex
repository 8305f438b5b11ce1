defmodule Sippet.Test.DNSServer do
  # A name server on 127.0.0.1, UDP and TCP, that answers from a zone and tells what it was asked.
  @moduledoc false

  use GenServer

  import ExUnit.Callbacks

  # An answer over UDP above this is cut (RFC 1035 §4.2.1).
  @udp_bytes 512

  @doc """
  Starts a server under the test's supervisor; returns `{ip, port}`, as the option `:nameservers` has it.

  `zone` is a map of names to maps of `:naptr`, `:srv`, `:a`, `:aaaa`, `:cname`: lists of records, `{order, preference,
  flags, service, regexp, replacement}`, `{priority, weight, port, target}`, addresses as text, names. CNAMEs are followed
  within the zone.

  Options: `:ttl` of all records, `:soa` `{ttl, minimum}` in negative answers, nil for none, `:rules`, a function of
  name and type that returns nil, `:drop`, `{:rcode, code}`, `{:records, [{name, type, ttl, data}]}` or `:hold`: such a
  question is answered after `release/1`. The test gets `{:asked, type, name, :udp | :tcp}` for each question.
  """
  def start(zone, options \\ []) do
    owner = self()
    server = start_supervised!({__MODULE__, {zone, options, owner}}, id: make_ref())
    GenServer.call(server, :address)
  end

  @doc "What was asked, in its order, as `{type, name}`; of those that came until now."
  def asked do
    receive do
      {:asked, type, name, _protocol} -> [{type, name} | asked()]
    after
      0 -> []
    end
  end

  @doc "Lets the questions that are held be answered."
  def release({_ip, port}), do: GenServer.cast(:"dns_#{port}", :release)

  def start_link(argument), do: GenServer.start_link(__MODULE__, argument)

  @impl true
  def init({zone, options, owner}) do
    {udp, tcp, port} = open(20)
    Process.register(self(), :"dns_#{port}")
    server = self()
    spawn_link(fn -> accept(tcp, server) end)

    {:ok,
     %{
       zone: Map.new(zone, fn {name, types} -> {String.downcase(name), types} end),
       options: options,
       owner: owner,
       udp: udp,
       tcp: tcp,
       port: port,
       held: []
     }}
  end

  # The same port twice, one of which may be somebody's.
  defp open(tries) do
    {:ok, udp} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: true])
    {:ok, port} = :inet.port(udp)

    case :gen_tcp.listen(port, [:binary, ip: {127, 0, 0, 1}, packet: 2, active: false]) do
      {:ok, tcp} ->
        {udp, tcp, port}

      {:error, :eaddrinuse} when tries > 0 ->
        :gen_udp.close(udp)
        open(tries - 1)
    end
  end

  defp accept(listener, server) do
    with {:ok, socket} <- :gen_tcp.accept(listener) do
      with {:ok, question} <- :gen_tcp.recv(socket, 0, 10_000),
           {:ok, answer} <- GenServer.call(server, {:tcp, question}) do
        :gen_tcp.send(socket, answer)
        # The client closes.
        :gen_tcp.recv(socket, 0, 10_000)
      end

      :gen_tcp.close(socket)
      accept(listener, server)
    end
  end

  @impl true
  def handle_call(:address, _from, state), do: {:reply, {{127, 0, 0, 1}, state.port}, state}

  def handle_call({:tcp, question}, _from, state) do
    {:reply, {:ok, answer(state, question, :tcp)}, state}
  end

  @impl true
  def handle_cast(:release, state) do
    for {ip, port, question} <- state.held do
      :gen_udp.send(state.udp, ip, port, answer(%{state | options: []}, question, :released))
    end

    {:noreply, %{state | held: []}}
  end

  @impl true
  def handle_info({:udp, _socket, ip, port, question}, state) do
    case answer(state, question, :udp) do
      :drop -> {:noreply, state}
      :hold -> {:noreply, %{state | held: [{ip, port, question} | state.held]}}
      answer -> {:noreply, send_answer(state, ip, port, question, answer)}
    end
  end

  defp send_answer(state, ip, port, question, answer) do
    answer =
      if byte_size(answer) > @udp_bytes, do: message(question, [], [], 0, true), else: answer

    :gen_udp.send(state.udp, ip, port, answer)
    state
  end

  defp answer(state, question, protocol) do
    {:ok, message} = :inet_dns.decode(question)
    [query] = :inet_dns.msg(message, :qdlist)
    name = query |> :inet_dns.dns_query(:domain) |> List.to_string() |> String.downcase()
    type = :inet_dns.dns_query(query, :type)
    if protocol != :released, do: send(state.owner, {:asked, type, name, protocol})

    case rule(state, name, type) do
      nil ->
        zone_answer(state, question, name, type)

      {:rcode, code} ->
        message(question, [], [], code, false)

      {:records, records} ->
        records = for {owner, type, ttl, data} <- records, do: record(owner, type, ttl, data)
        message(question, records, [], 0, false)

      what ->
        what
    end
  end

  defp rule(state, name, type) do
    if rules = state.options[:rules], do: rules.(name, type)
  end

  defp zone_answer(state, question, name, type) do
    ttl = Keyword.get(state.options, :ttl, 300)
    {records, found?} = chain(state.zone, name, type, ttl, 12)

    authority =
      case Keyword.get(state.options, :soa, {300, 60}) do
        {soa_ttl, minimum} when records == [] ->
          [
            record(
              "example.com",
              :soa,
              soa_ttl,
              {~c"ns.example.com", ~c"root.example.com", 1, 2, 3, 4, minimum}
            )
          ]

        _ ->
          []
      end

    message(question, records, authority, if(found?, do: 0, else: 3), false)
  end

  defp chain(_zone, _name, _type, _ttl, 0), do: {[], true}

  defp chain(zone, name, type, ttl, left) do
    case zone do
      %{^name => %{cname: [target]}} when type != :cname ->
        {records, found?} = chain(zone, String.downcase(target), type, ttl, left - 1)
        {[record(name, :cname, ttl, String.to_charlist(target)) | records], found?}

      %{^name => types} ->
        {for(data <- Map.get(types, type, []), do: record(name, type, ttl, data(type, data))),
         true}

      _ ->
        {[], false}
    end
  end

  defp data(type, text) when type in [:a, :aaaa] do
    {:ok, ip} = text |> String.to_charlist() |> :inet.parse_strict_address()
    ip
  end

  defp data(:srv, {priority, weight, port, target}),
    do: {priority, weight, port, domain(target)}

  defp data(:naptr, {order, preference, flags, service, regexp, replacement}) do
    {order, preference, String.to_charlist(flags), String.to_charlist(service),
     String.to_charlist(regexp), domain(replacement)}
  end

  # The root is the empty name.
  defp domain("."), do: ~c""
  defp domain(name), do: String.to_charlist(name)

  defp record(name, type, ttl, data) do
    :inet_dns.make_rr(
      domain: String.to_charlist(name),
      type: type,
      class: :in,
      ttl: ttl,
      data: data
    )
  end

  defp message(question, records, authority, rcode, truncated?) do
    {:ok, message} = :inet_dns.decode(question)

    header =
      message
      |> :inet_dns.msg(:header)
      |> :inet_dns.make_header(qr: true, aa: true, ra: true, tc: truncated?, rcode: rcode)

    # What the question had beside itself, an OPT record, is not sent back.
    :inet_dns.encode(
      :inet_dns.make_msg(
        header: header,
        qdlist: :inet_dns.msg(message, :qdlist),
        anlist: records,
        nslist: authority,
        arlist: []
      )
    )
  end
end
