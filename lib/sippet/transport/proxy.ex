defmodule Sippet.Transport.Proxy do
  # The proxy that connections are made through: the option of the transports over streams, and the socket that it leads to.
  # Whom it gives for the peer is not believed: TLS holds the other end to its name all the same.
  @moduledoc false

  alias Sippet.Transport
  alias Sippet.Transport.{Options, Socket}
  alias Sippet.Transport.Proxy.{HTTPConnect, SOCKS5}

  # Credentials are a function, which no log, crash report or state of a process shows from inside.
  @enforce_keys [:protocol, :address, :port, :resolve, :credentials]
  defstruct @enforce_keys

  @type credentials :: {username :: String.t(), password :: String.t()}

  @type t :: %__MODULE__{
          protocol: :socks5 | :http_connect,
          address: :inet.ip_address() | String.t(),
          port: :inet.port_number(),
          resolve: :local | :remote,
          credentials: (() -> credentials) | nil
        }

  @doc "Asks the proxy at the other end of the socket for a way to `remote`; whoever fails leaves the socket to be closed."
  @callback open(port, Transport.remote(), credentials | nil, deadline :: integer) ::
              :ok | {:error, reason :: term}

  @doc "The option, as a part of the schema of a transport."
  @spec option() :: Options.schema()
  def option do
    [
      {:proxy, nil, {:made, &__MODULE__.new!/1},
       "the proxy that connections to peers are made through, a keyword list; see `Sippet.Transports.TCP`"}
    ]
  end

  @known [:protocol, :address, :port, :resolve, :credentials]

  @doc "Of the option's value; raises `ArgumentError`, which never shows credentials."
  @spec new!(keyword | nil) :: t | nil
  def new!(nil), do: nil

  def new!(options) do
    unless Keyword.keyword?(options), do: refuse!("to be nil or a keyword list")

    for {key, _value} <- options, key not in @known do
      refuse!("to have no other options than #{inspect(@known)}, got: #{inspect(key)}")
    end

    resolve = Keyword.get(options, :resolve, :local)

    cond do
      options[:protocol] not in [:socks5, :http_connect] ->
        refuse!("to have the :protocol :socks5 or :http_connect")

      options[:port] not in 1..65_535 ->
        refuse!("to have a :port between 1 and 65535")

      resolve not in [:local, :remote] ->
        refuse!("to have :resolve :local or :remote")

      true ->
        %__MODULE__{
          protocol: options[:protocol],
          address: address!(options[:address]),
          port: options[:port],
          resolve: resolve,
          credentials: conceal(credentials!(options[:protocol], options[:credentials]))
        }
    end
  end

  defp refuse!(expected), do: raise(ArgumentError, "expected :proxy #{expected}")

  defp address!(address) when is_binary(address) and address != "" do
    case Sippet.Resolver.Name.literal(address) do
      {:ok, ip} -> ip
      :error -> address
    end
  end

  defp address!(_other), do: refuse!("to have an :address, a numeric one or a name")

  defp credentials!(_protocol, nil), do: nil

  defp credentials!(protocol, credentials) when is_function(credentials, 0),
    do: credentials!(protocol, credentials.())

  defp credentials!(protocol, {username, password} = credentials)
       when is_binary(username) and is_binary(password) do
    if good?(protocol, username, password), do: credentials, else: refuse_credentials!(protocol)
  end

  defp credentials!(protocol, _bad), do: refuse_credentials!(protocol)

  @spec refuse_credentials!(:socks5 | :http_connect) :: no_return
  defp refuse_credentials!(:socks5),
    do: refuse!("to have :credentials of two strings of 1 to 255 bytes")

  defp refuse_credentials!(:http_connect) do
    refuse!(
      "to have :credentials of two strings without control characters, the first without a colon"
    )
  end

  # RFC 1929 §2; RFC 7617 §2.
  defp good?(:socks5, username, password),
    do: byte_size(username) in 1..255 and byte_size(password) in 1..255

  defp good?(:http_connect, username, password) do
    not String.contains?(username, ":") and
      not (username =~ ~r/[\x00-\x1F\x7F]/) and not (password =~ ~r/[\x00-\x1F\x7F]/)
  end

  defp conceal(nil), do: nil
  defp conceal(credentials) when is_function(credentials, 0), do: credentials
  defp conceal(credentials), do: fn -> credentials end

  @doc "The options of a transport as they may stand in the specification of a child, which supervisors report."
  @spec conceal_options(keyword) :: keyword
  def conceal_options(options) do
    with proxy when is_list(proxy) <- options[:proxy],
         true <- Keyword.has_key?(proxy, :credentials) do
      Keyword.put(options, :proxy, Keyword.update!(proxy, :credentials, &conceal/1))
    else
      _without -> options
    end
  end

  @doc "Where names are resolved for connections through it; nil without one."
  @spec resolve(t | nil) :: :local | :remote | nil
  def resolve(nil), do: nil
  def resolve(%__MODULE__{resolve: resolve}), do: resolve

  @doc """
  A socket that leads to `remote`; nothing of what comes from there has been read. `bound` is the address of the transport.

  Each failure on the way is `{:error, {:proxy, reason}}`.
  """
  @spec connect(t, Transport.remote(), :inet.ip_address(), map, integer) ::
          {:ok, port} | {:error, {:proxy, term}}
  def connect(%__MODULE__{} = proxy, remote, bound, options, deadline) do
    with {:ok, ip} <- address(proxy.address, bound, deadline),
         {:ok, socket} <-
           :gen_tcp.connect(
             ip,
             proxy.port,
             Socket.connect_options(ip, bound, options),
             left(deadline)
           ) do
      case module(proxy).open(socket, remote, proxy.credentials && proxy.credentials.(), deadline) do
        :ok ->
          {:ok, socket}

        {:error, reason} ->
          Socket.abort(socket)
          failed(reason)
      end
    else
      {:error, reason} -> failed(reason)
    end
  end

  defp failed(:closed), do: {:error, {:proxy, :connection_closed}}
  defp failed(reason), do: {:error, {:proxy, reason}}

  defp module(%{protocol: :socks5}), do: SOCKS5
  defp module(%{protocol: :http_connect}), do: HTTPConnect

  defp address(ip, _bound, _deadline) when is_tuple(ip), do: {:ok, ip}

  # The operating system's resolver keeps to no deadline of ours.
  defp address(name, bound, deadline) do
    family = if tuple_size(bound) == 8, do: :inet6, else: :inet
    task = Task.async(fn -> :inet.getaddr(:binary.bin_to_list(name), family) end)

    case Task.yield(task, left(deadline)) || Task.shutdown(task, :brutal_kill) do
      {:ok, result} -> result
      _late -> {:error, :timeout}
    end
  end

  @doc "The milliseconds until a deadline."
  @spec left(integer) :: non_neg_integer
  def left(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)
end
