defmodule Sippet.Sim.Node do
  # A stack of a simulation: its addresses and names, and its options taken apart.
  @moduledoc false

  alias Sippet.Sim.{Mailbox, Transport}
  alias Sippet.{Stack, URI}
  alias Sippet.Transport.Table

  @own [:address, :transports, :hosts, :core]

  @enforce_keys [:number, :name, :ip, :ports, :hosts, :mailbox]
  defstruct @enforce_keys ++ [:stack, :supervisor, transports: %{}]

  @type t :: %__MODULE__{
          number: pos_integer,
          name: atom,
          ip: :inet.ip_address(),
          ports: keyword(:inet.port_number()),
          hosts: [String.t()],
          mailbox: pid | nil,
          stack: Stack.t() | nil,
          supervisor: pid | nil,
          transports: %{atom => Sippet.Transport.t()}
        }

  @doc "Checks the options of `Sippet.Sim.add_stack/3`: the node, and the options of its stack."
  @spec validate!(pos_integer, atom, keyword) :: {t, keyword}
  def validate!(number, name, options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected options to be a keyword list, got: #{inspect(options)}"
    end

    {own, options} = Keyword.split(options, @own)
    {ip, port} = address!(Keyword.get(own, :address, {{10, 0, 0, number}, 5060}))
    {core, mailbox} = core!(own[:core])

    node = %__MODULE__{
      number: number,
      name: name,
      ip: ip,
      ports: ports!(Keyword.get(own, :transports, [:udp]), port),
      hosts: hosts!(Keyword.get(own, :hosts, [])),
      mailbox: mailbox
    }

    {node, Stack.validate_options!([name: name, core: core] ++ options)}
  end

  defp core!(pid) when is_pid(pid), do: {Mailbox, pid}
  defp core!(core), do: {core, nil}

  defp address!({ip, port}) when is_tuple(ip) and port in 1..65_535,
    do: {ip!(ip), port}

  defp address!({text, port}) when is_binary(text) and port in 1..65_535, do: {ip!(text), port}
  defp address!(ip), do: {ip!(ip), 5060}

  defp ip!(ip) do
    text = if is_binary(ip), do: String.to_charlist(ip), else: :inet.ntoa(ip)

    with false <- match?({:error, _}, text),
         {:ok, ip} <- :inet.parse_strict_address(text) do
      ip
    else
      _ ->
        raise ArgumentError,
              "expected :address to be a numeric IP address or {address, port}, got: #{inspect(ip)}"
    end
  end

  defp ports!(transports, port) when is_list(transports) and transports != [] do
    ports =
      Enum.map(transports, fn
        {protocol, port} when is_atom(protocol) and port in 1..65_535 -> {protocol, port}
        # The default port of sips is one above that of sip (§19.1.2).
        :tls -> {:tls, port + URI.default_port("sips") - URI.default_port("sip")}
        protocol when is_atom(protocol) -> {protocol, port}
        other -> refuse_ports!(other)
      end)

    if ports == Enum.uniq_by(ports, &elem(&1, 0)), do: ports, else: refuse_ports!(transports)
  end

  defp ports!(other, _port), do: refuse_ports!(other)

  @spec refuse_ports!(term) :: no_return
  defp refuse_ports!(other) do
    raise ArgumentError,
          "expected :transports to be a list of different protocols or {protocol, port}, got: #{inspect(other)}"
  end

  defp hosts!(hosts) do
    if is_list(hosts) and Enum.all?(hosts, &is_binary/1),
      do: Enum.map(hosts, &String.downcase/1),
      else:
        raise(ArgumentError, "expected :hosts to be a list of strings, got: #{inspect(hosts)}")
  end

  @doc "Starts the stack, linked to the calling process, which is the transports' process."
  @spec start(t, keyword, seed :: binary) :: {:ok, t} | {:error, term}
  def start(node, options, seed) do
    options = Keyword.put(options, :sim, {self(), seed})

    with {:ok, supervisor} <-
           Supervisor.start_link(Sippet, options, name: Stack.supervisor(node.name)) do
      stack = Stack.fetch!(node.name)
      {:ok, %{node | stack: stack, supervisor: supervisor, transports: transports(node, stack)}}
    end
  end

  defp transports(node, stack) do
    for {protocol, port} <- node.ports, into: %{} do
      {:ok, transport} =
        Table.register(stack,
          module: Transport,
          handle: {self(), node.name, protocol},
          protocol: protocol,
          reliable: protocol != :udp,
          address: {node.ip, port}
        )

      {protocol, transport}
    end
  end
end
