defmodule Sippet.Transport.Credentials do
  # Certificates, keys and what peers are verified by, read from files once and kept in the table of a transport as the
  # options of :ssl for each handshake: whoever reads them anew changes what the next handshake uses.
  @moduledoc false

  alias Sippet.TransportError
  alias Sippet.Transport.{Identity, Options}

  # How long the two processes that :ssl has for a connection keep their memory when there is nothing to do.
  @hibernate_after_ms 1_000

  @enforce_keys [:verify, :server, :domains, :client, :trusted]
  defstruct @enforce_keys

  @certificate_options [:cert, :certfile, :key, :keyfile, :password]

  # :system stands for the authorities of the operating system, which :public_key shares between processes: in the table they
  # would be copied for each handshake.
  @typedoc "server and client are options of :ssl, domains those of one certificate each, by name."
  @type t :: %__MODULE__{
          verify: boolean,
          server: keyword,
          domains: %{String.t() => keyword},
          client: keyword,
          trusted: [binary] | :system
        }

  @doc "The options of a transport over TLS."
  @spec options() :: Options.schema()
  def options do
    text = {:optional, :string}
    domains = "a map of keyword lists of #{inspect(@certificate_options)}"

    [
      {:certfile, nil, text,
       "the file of the certificate, PEM, and of those between it and the authority"},
      {:keyfile, nil, text, "the file of its key, PEM"},
      {:password, nil, text, "the password of the key's file"},
      {:cert, nil, {:optional, {:as, "DER or a list of DER", &__MODULE__.good_certificate?/1}},
       "instead of a file: the certificate as DER, or a list with those between it and the authority"},
      {:key, nil, {:optional, {:as, "a key as of :ssl", &__MODULE__.good_key?/1}},
       "instead of a file: the key as `{type, der}`, or as `:ssl` takes it otherwise"},
      {:domains, %{}, {:as, domains, &__MODULE__.good_domains?/1},
       "by name those of the options above, for clients that ask for that name"},
      {:cacertfile, nil, text, "the file of the authorities that are trusted, PEM"},
      {:cacerts, nil, {:optional, :list},
       "instead of a file: the authorities as `:ssl` takes them; by default those of the operating system"},
      {:verify, :verify_peer, {:one_of, [:verify_peer, :verify_none]},
       "whether peers that are connected to have to show who they are"},
      {:verify_clients, :none, {:one_of, [:none, :optional, :required]},
       "whether peers that connect are asked for a certificate, and refused without"},
      {:profile, :strict, {:one_of, [:strict, :compatible]},
       "which cipher suites there are; see above"},
      {:handshake_timeout, 10_000, :milliseconds,
       "how long the handshake of a peer that connects may take"}
    ]
  end

  @doc false
  def good_certificate?(value), do: is_binary(value) or (is_list(value) and value != [])

  @doc false
  def good_key?(value), do: is_tuple(value) or is_map(value)

  @doc false
  def good_domains?(domains) do
    is_map(domains) and
      Enum.all?(domains, fn {domain, options} ->
        is_binary(domain) and Keyword.keyword?(options) and options != [] and
          Enum.all?(options, fn {name, _value} -> name in @certificate_options end)
      end)
  end

  @doc "Reads what the options name."
  @spec load(map) :: {:ok, t} | {:error, TransportError.credentials_error()}
  def load(options) do
    with {:ok, own} <-
           identity(Map.to_list(Map.take(options, @certificate_options))),
         {:ok, domains} <- identities(options.domains),
         {:ok, trusted} <- trusted(options) do
      {:ok,
       %__MODULE__{
         verify: options.verify == :verify_peer,
         trusted: trusted,
         domains: domains,
         server: own ++ clients(options.verify_clients) ++ server(options.profile),
         client: client(options.verify) ++ own ++ both(options.profile)
       }}
    end
  end

  @doc "The options for a connection that was accepted."
  @spec server_options(:ets.tid()) :: keyword
  def server_options(table) do
    %__MODULE__{server: server, domains: domains} = credentials = get(table)

    by_name = if domains == %{}, do: [], else: [sni_fun: &Map.get(domains, asked(&1), :undefined)]

    by_name ++ trust(server, credentials.trusted) ++ server
  end

  defp asked(name), do: name |> List.to_string() |> Identity.normalize()

  @doc "The options for a connection to a peer of this name."
  @spec client_options(:ets.tid(), Identity.name()) ::
          {:ok, keyword} | {:error, :no_trusted_certificates}
  def client_options(table, name) do
    %__MODULE__{client: client, trusted: trusted} = get(table)
    # An address is no name to be indicated (RFC 6066 §3).
    indication = if is_binary(name) and name != "", do: String.to_charlist(name), else: :disable

    case trust(client, trusted) do
      [cacerts: []] -> {:error, :no_trusted_certificates}
      trust -> {:ok, [server_name_indication: indication] ++ trust ++ client}
    end
  end

  defp trust(options, trusted) do
    case {options[:verify], trusted} do
      {:verify_none, _trusted} -> []
      {:verify_peer, :system} -> [cacerts: system()]
      {:verify_peer, trusted} -> [cacerts: trusted]
    end
  end

  # An operating system may have none.
  defp system do
    :public_key.cacerts_get()
  rescue
    _ -> []
  catch
    _kind, _reason -> []
  end

  @doc "What the next handshakes use, and by which options it is read again."
  @spec put(:ets.tid(), t, map) :: :ok
  def put(table, credentials, options) do
    :ets.insert(table, [{:tls, credentials}, {:tls_options, options}])
    :ok
  end

  @doc "Reads again what the table has, by the same options."
  @spec reload(:ets.tid()) :: :ok | {:error, TransportError.credentials_error()}
  def reload(table) do
    options = :ets.lookup_element(table, :tls_options, 2)
    with {:ok, credentials} <- load(options), do: put(table, credentials, options)
  end

  @doc "Whether there is a certificate to show to those who are connected to."
  @spec certified?(t) :: boolean
  def certified?(%__MODULE__{client: client}), do: Keyword.has_key?(client, :cert)

  @doc "Whether peers are verified."
  @spec verify?(:ets.tid()) :: boolean
  def verify?(table), do: get(table).verify

  defp get(table), do: :ets.lookup_element(table, :tls, 2)

  defp both(profile) do
    versions = [:"tlsv1.3", :"tlsv1.2"]

    [
      versions: versions,
      ciphers: Enum.flat_map(versions, &ciphers(profile, &1)),
      log_level: :none,
      hibernate_after: @hibernate_after_ms,
      # A session taken up again would be one whose name was verified for another connection.
      reuse_sessions: false
    ]
  end

  defp server(profile) do
    both(profile) ++ [honor_cipher_order: true, client_renegotiation: false]
  end

  @aead [:aes_128_gcm, :aes_256_gcm, :chacha20_poly1305]

  defp ciphers(_profile, :"tlsv1.3"), do: :ssl.cipher_suites(:exclusive, :"tlsv1.3")

  defp ciphers(:strict, version) do
    :ssl.filter_cipher_suites(:ssl.cipher_suites(:all, version),
      key_exchange: &(&1 in [:ecdhe_ecdsa, :ecdhe_rsa]),
      cipher: &(&1 in @aead)
    )
  end

  # RFC 3261 §26.2.1 wants TLS_RSA_WITH_AES_128_CBC_SHA of everybody, and old telephones have little more.
  defp ciphers(:compatible, version) do
    :ssl.filter_cipher_suites(:ssl.cipher_suites(:all, version),
      key_exchange: &(&1 in [:ecdhe_ecdsa, :ecdhe_rsa, :dhe_rsa, :rsa]),
      cipher: &(&1 in [:aes_128_cbc, :aes_256_cbc | @aead])
    )
  end

  defp clients(:none), do: [verify: :verify_none]
  defp clients(how), do: [verify: :verify_peer, fail_if_no_peer_cert: how == :required]

  defp client(:verify_none), do: [verify: :verify_none]

  # The name is verified by RFC 5922, when the handshake is over; :ssl would do it by the rules of HTTPS.
  defp client(:verify_peer) do
    [
      verify: :verify_peer,
      customize_hostname_check: [match_fun: &__MODULE__.any_name?/2]
    ]
  end

  @doc false
  def any_name?(_asked, _presented), do: true

  defp identities(domains) do
    Enum.reduce_while(domains, {:ok, %{}}, fn {domain, options}, {:ok, found} ->
      case identity(options) do
        {:ok, identity} -> {:cont, {:ok, Map.put(found, Identity.normalize(domain), identity)}}
        error -> {:halt, error}
      end
    end)
  end

  # A certificate, its chain behind it, and its key.
  defp identity(options) do
    options = for {name, value} <- options, value != nil, do: {name, value}

    with {:ok, chain} <- chain(options[:cert], options[:certfile]),
         {:ok, key} <- key(options[:key], options[:keyfile], options[:password]),
         :ok <- pair(chain, key, options) do
      {:ok, if(chain == [], do: [], else: [cert: chain, key: key])}
    end
  end

  defp chain(nil, nil), do: {:ok, []}
  defp chain(cert, _file) when cert != nil, do: {:ok, List.wrap(cert)}

  defp chain(nil, file) do
    with {:ok, entries} <- pem(:certificate, file) do
      case for {:Certificate, der, :not_encrypted} <- entries, do: der do
        [] -> {:error, {:certificate, file, :not_found}}
        chain -> {:ok, chain}
      end
    end
  end

  defp key(nil, nil, _password), do: {:ok, nil}
  defp key(key, _file, _password) when key != nil, do: {:ok, key}

  defp key(nil, file, password) do
    with {:ok, entries} <- pem(:key, file) do
      case Enum.find(
             entries,
             &(elem(&1, 0) in [:PrivateKeyInfo, :RSAPrivateKey, :ECPrivateKey, :DSAPrivateKey])
           ) do
        nil -> {:error, {:key, file, :not_found}}
        {type, der, :not_encrypted} -> {:ok, {type, der}}
        entry -> decrypt(entry, file, password)
      end
    end
  end

  defp decrypt(entry, file, password) do
    key = :public_key.pem_entry_decode(entry, to_charlist(password || ""))
    type = elem(key, 0)
    {:ok, {type, :public_key.der_encode(type, key)}}
  rescue
    _ -> {:error, {:key, file, :wrong_password}}
  end

  # What a handshake would only tell the peer.
  defp pair([], nil, _options), do: :ok
  defp pair([], _key, _options), do: {:error, {:certificate, nil, :not_found}}
  defp pair(_chain, nil, _options), do: {:error, {:key, nil, :not_found}}

  defp pair([certificate | _], key, options) do
    case Identity.public_key(certificate) do
      {:ok, public} ->
        if matches?(public, key),
          do: :ok,
          else: {:error, {:key, options[:keyfile], :of_another_certificate}}

      :error ->
        {:error, {:certificate, options[:certfile], :malformed}}
    end
  end

  # A key in an engine, or a function, shows nothing.
  defp matches?(public, {type, der}) when is_atom(type) and is_binary(der) do
    private = :public_key.der_decode(type, der)
    signature = :public_key.sign("sippet", :sha256, private)
    :public_key.verify("sippet", :sha256, signature, public)
  rescue
    # Of Ed25519 and the like there is no digest to choose; the handshake will tell.
    _ -> true
  end

  defp matches?(_public, _key), do: true

  defp trusted(%{cacerts: cacerts}) when cacerts != nil do
    {:ok,
     for certificate <- cacerts do
       # As :public_key has them: decoded they would be copied for each handshake.
       if match?({:cert, _der, _decoded}, certificate),
         do: elem(certificate, 1),
         else: certificate
     end}
  end

  defp trusted(%{cacertfile: file}) when file != nil do
    with {:ok, entries} <- pem(:trusted_certificates, file) do
      case for {:Certificate, der, :not_encrypted} <- entries, do: der do
        [] -> {:error, {:trusted_certificates, file, :not_found}}
        ders -> {:ok, ders}
      end
    end
  end

  defp trusted(_options), do: {:ok, :system}

  defp pem(what, file) do
    with {:ok, text} <- File.read(file) do
      {:ok, :public_key.pem_decode(text)}
    else
      {:error, reason} -> {:error, {what, file, reason}}
    end
  rescue
    _ -> {:error, {what, file, :malformed}}
  end
end
