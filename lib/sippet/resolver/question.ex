defmodule Sippet.Resolver.Question do
  @moduledoc """
  What `Sippet.Resolver` is to find: the parts of a URI that count, and the transports that there are.

    * `domain` - the host of the URI
    * `host` - what is looked up, TARGET in RFC 3263 §4: the `maddr` of the URI, else its host
    * `port` - the port, if one was written, else nil
    * `transport` - the protocol that the URI asks for, an atom, or text of one that is not known; nil if it does not
    * `secure` - whether it has to be TLS, as of a `sips` URI
    * `default` - the protocol where neither the URI nor DNS says, if it can be had; nil for RFC 3263's, UDP or TLS
    * `transports` - `[{protocol, families}]`, what can be sent by, the preferred first; `families` are `:inet`, `:inet6`
  """

  alias Sippet.{Message, ResolverError, URI}
  alias Sippet.Resolver.Service
  alias Sippet.Routing.NextHop

  @enforce_keys [:host]
  defstruct [:domain, :host, :port, :transport, :default, secure: false, transports: []]

  @type t :: %__MODULE__{
          domain: String.t() | nil,
          host: String.t() | nil,
          port: :inet.port_number() | nil,
          transport: atom | String.t() | nil,
          secure: boolean,
          default: atom,
          transports: [{atom, [:inet | :inet6]}]
        }

  @doc """
  The question of a URI; the error `:unsupported_scheme` where that is not `sip` or `sips`.

      iex> {:ok, question} = Sippet.Resolver.Question.of_uri(Sippet.URI.parse!("sips:biloxi.com;Transport=TCP"), udp: [:inet])
      iex> {question.host, question.port, question.transport, question.secure}
      {"biloxi.com", nil, :tcp, true}
  """
  @spec of_uri(URI.t(), [{atom, [:inet | :inet6]}]) :: {:ok, t} | {:error, ResolverError.t()}
  def of_uri(%URI{scheme: scheme, host: host} = uri, transports)
      when scheme in ["sip", "sips"] and is_binary(host) do
    {:ok,
     %__MODULE__{
       domain: host,
       host: text(NextHop.parameter(uri.parameters, "maddr")) || host,
       port: if(port_written?(uri), do: uri.port),
       transport: protocol(text(NextHop.parameter(uri.parameters, "transport"))),
       secure: scheme == "sips",
       transports: transports
     }}
  end

  def of_uri(%URI{} = uri, _transports),
    do: {:error, %ResolverError{reason: :unsupported_scheme, host: uri.host}}

  @doc """
  The question of a response whose connection is gone: where its topmost Via says that it was sent by (RFC 3263 §5).

  `maddr` takes the place of the host. A port that is the protocol's own counts as not written, since a parsed Via has it
  either way; then a name is looked up by SRV first.

      iex> via = {{2, 0}, :tcp, {"biloxi.com", 5060}, %{"branch" => "z9hG4bK1"}}
      iex> question = Sippet.Resolver.Question.of_via(via, tcp: [:inet])
      iex> {question.host, question.port, question.transport}
      {"biloxi.com", nil, :tcp}
  """
  @spec of_via(tuple, [{atom, [:inet | :inet6]}]) :: t
  def of_via({_version, protocol, {host, port}, parameters}, transports) when is_binary(host) do
    %__MODULE__{
      domain: host,
      host: text(parameters["maddr"]) || host,
      port: if(port in own_ports(protocol), do: nil, else: port),
      transport: protocol,
      transports: transports
    }
  end

  # 5060 is what a Via without a port is parsed to, whatever its protocol.
  defp own_ports(protocol), do: [nil, 5060, Service.default_port(protocol)]

  defp text(value) when is_binary(value) and value != "", do: value
  defp text(_nothing), do: nil

  defp protocol(nil), do: nil
  defp protocol(text), do: Message.to_protocol(text)

  # A parsed URI has the default port where none was written: the text decides. One that was made by hand has no text, and
  # its default port is none that was written, as when it is turned into text.
  defp port_written?(%URI{port: nil}), do: false

  defp port_written?(%URI{authority: authority, port: port, scheme: scheme}) do
    port != URI.default_port(scheme) or
      (is_binary(authority) and port_ends?(authority, byte_size(authority)))
  end

  # Digits behind a colon are one: an IPv6 address ends in its bracket.
  defp port_ends?(authority, size) do
    case authority do
      <<_::binary-size(size - 1), digit, _::binary>> when digit in ?0..?9 ->
        port_ends?(authority, size - 1)

      <<_::binary-size(size - 1), ?:, _::binary>> ->
        size < byte_size(authority)

      _ ->
        false
    end
  end

  @doc false
  # `[:udp, tcp: [:inet]]` as pairs; both families where none is named.
  @spec transports!(term) :: [{atom, [:inet | :inet6]}]
  def transports!(transports) when is_list(transports) do
    for transport <- transports do
      case transport do
        {protocol, [_ | _] = families} when is_atom(protocol) ->
          if families -- [:inet, :inet6] == [],
            do: {protocol, families},
            else: refuse!(transports)

        protocol when is_atom(protocol) and protocol != nil ->
          {protocol, [:inet6, :inet]}

        _ ->
          refuse!(transports)
      end
    end
  end

  def transports!(other), do: refuse!(other)

  defp refuse!(other) do
    raise ArgumentError,
          "expected :transports to be a list of protocols or {protocol, families}, got: #{inspect(other)}"
  end
end
