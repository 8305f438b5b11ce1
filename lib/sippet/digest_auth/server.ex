defmodule Sippet.DigestAuth.Server do
  @moduledoc """
  Digest authentication, the server's side (RFC 3261 §22, RFC 7616, RFC 8760): challenges, and verifies what comes back.

      children = [
        {Sippet.DigestAuth.Server, name: MyApp.Auth, realm: "biloxi.com", credentials: &MyApp.Users.credentials/2},
        {Sippet, name: :my_stack, core: MyApp.Core},
        {Sippet.Transports.UDP, name: :my_stack, port: 5060}
      ]

  and in the core

      case Sippet.DigestAuth.Server.verify(MyApp.Auth, request) do
        {:ok, identity} -> register(identity.username, request)
        {:error, error} -> Sippet.send(:my_stack, Sippet.DigestAuth.Server.challenge(MyApp.Auth, request, error))
      end

  ## Options

    * `:name` - an atom, by which the functions of this module find the server
    * `:realm` - a string
    * `:credentials` - a function that gets a name and the realm, see below
    * `:status_code` - `401`, the default, for a user agent server or a registrar, or `407` for a proxy: which of the
      header fields are read and written
    * `:algorithms` - those that are offered, a challenge for each, the best first (RFC 8760 §2.3); default
      `["SHA-256", "MD5"]`
    * `:qop` - the list that is offered, default `["auth"]`. Credentials without a qop are taken with `[]` only, from
      clients of RFC 2543 times; each of their requests then costs a challenge, since there is no count
    * `:nonce_lifetime_ms` - how long a nonce is good; default `300_000`
    * `:max_nonces` - how many used nonces are remembered at most; default `100_000`
    * `:domain` - a list of URIs for the challenge, default none
    * `:opaque` - a string for the challenge, default none
    * `:userhash` - whether clients may name their user by a hash (RFC 7616 §3.4.4); default `false`
    * `:charset` - whether challenges say that names and passwords are UTF-8 (RFC 7616 §4); default `false`
    * `:check_uri` - whether the `uri` of credentials has to be equivalent to the Request-URI (RFC 7616 §3.4.6); default
      `true`. Behind a proxy that changes the Request-URI it is not
    * `:secret` - what nonces are signed with, 32 bytes or more, or a function without arguments that returns them; default
      32 random bytes. Nonces of another server with the same secret and realm are good here too, but each server knows
      only the counts that it has seen
    * `:clock` - a function that returns the time in milliseconds, for tests; default the system's time

  ## The callback

  `credentials.(username, realm)` runs in the process that calls `verify/2`, for known and unknown names, whatever the
  nonce. `username` is the text of the credentials, or `{:userhash, hash, algorithm}` where a client names its user by a
  hash; `Sippet.DigestAuth.userhash/3` makes these hashes. It returns

    * `{:ok, secret}` - a `t:Sippet.DigestAuth.secret/0`, a password or stored HA1s
    * `{:ok, secret, options}` - the same with `:username`, needed with a hash and a password, and `:data`, which the
      identity then has
    * anything else where there is no such user

  An algorithm for which a user has no HA1 is refused to that user: offer those that all have.

  ## What is promised

    * No memory for challenges: a nonce is a time and random bytes, signed for realm and algorithm. Only who has
      authenticated takes a row, and of those the oldest goes when there are too many.
    * A count of a nonce is taken once. It may be up to 63 behind the highest, since requests overtake each other. What is
      repeated, expired, forgotten or from before the start of this process is answered by a challenge with
      `stale=true`, if the password was right.
    * A name that is not known costs the same hashes as a wrong password and gets the same answer, and digests are compared
      in constant time. How long the callback takes is the callback's.
    * What was not offered is not taken: no weaker algorithm, and no credentials without qop where one is asked for.
    * Nothing in a request makes these functions raise. Secrets are not in exceptions, and not in what `inspect/2` shows.

  A process started from the options keeps the table of counts. The functions run in the calling process and do not
  wait for it; they raise `ArgumentError` where no server has the name.
  """

  use GenServer

  alias Sippet.{DigestAuth, DigestAuthError, Message}
  alias Sippet.DigestAuth.{Algorithm, Config, Digest, Identity, Verification, Window}
  alias Sippet.Message.RequestLine

  @sweep_ms 10_000

  @typedoc "What the option `:credentials` is; see the module."
  @type credentials ::
          (username :: String.t() | {:userhash, hash :: String.t(), algorithm :: String.t()},
           realm :: String.t() ->
             {:ok, DigestAuth.secret()}
             | {:ok, DigestAuth.secret(), username: String.t(), data: term}
             | term)

  @doc """
  Starts a server and links it to the calling process; options as in the module.

  Returns `{:error, {:already_started, pid}}` where the name is taken. An option that is missing, not known or not of its
  kind raises `ArgumentError`.
  """
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options) do
    config = Config.new!(options)
    GenServer.start_link(__MODULE__, config, name: config.name)
  end

  @doc "The specification of a server under a supervisor. Its id is `{Sippet.DigestAuth.Server, name}`."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]}
    }
  end

  # Both tables go with the process. The process itself only sweeps.
  @impl true
  def init(config) do
    config = Config.open(config)
    _table = :ets.new(config.name, [:named_table, :protected, read_concurrency: true])
    :ets.insert(config.name, {:config, config})
    Process.send_after(self(), :sweep, @sweep_ms)
    {:ok, config.name}
  end

  @impl true
  def handle_info(:sweep, name) do
    config = fetch!(name)
    Window.sweep(config.window, config.clock.() - config.nonce_lifetime_ms - 1)
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, name}
  end

  def handle_info(_other, name), do: {:noreply, name}

  defp fetch!(name) do
    :ets.lookup_element(name, :config, 2)
  rescue
    ArgumentError ->
      raise ArgumentError, "there is no digest server named #{inspect(name)}"
  end

  @doc """
  Verifies the credentials of a request.

  Where a request has several for the realm, those with the newest nonce count. An ACK is verified as the INVITE whose
  credentials it repeats (§22.1), whatever its Request-URI and the age of the nonce, and without being counted.

  Returns `{:ok, identity}` or `{:error, error}`; the error says what the request earns, see `challenge/3`.

  RFC 3261 §22.4, RFC 7616 §3.4, §3.4.6.
  """
  @spec verify(atom, Message.request()) :: {:ok, Identity.t()} | {:error, DigestAuthError.t()}
  def verify(name, %Message{start_line: %RequestLine{}} = request) when is_atom(name) do
    config = fetch!(name)

    with {:error, reason, parameter} <- Verification.run(config, request),
         do: {:error, DigestAuthError.new(reason, config.status_code, parameter)}
  end

  @doc """
  Makes the response to a request that has no credentials, or wrong ones: a 401 or 407 with a challenge for each algorithm.

  `error` is what `verify/2` returned; it says whether the challenge is because of a stale nonce, and where it has the
  status code 400 the response is a 400 without a challenge.

  Raises `ArgumentError` for an ACK and a CANCEL, which must not be challenged (§22.1): an ACK with wrong credentials is
  ignored, a CANCEL is taken if its INVITE is there.

  RFC 3261 §22.1, §22.3, RFC 7616 §3.3, RFC 8760 §2.3.
  """
  @spec challenge(atom, Message.request(), DigestAuthError.t() | nil) :: Message.response()
  def challenge(name, request, error \\ nil)

  def challenge(_name, %Message{start_line: %RequestLine{method: method}}, _error)
      when method in [:ack, :cancel] do
    raise ArgumentError, "expected a request that may be challenged, got: #{inspect(method)}"
  end

  def challenge(name, %Message{start_line: %RequestLine{}} = request, error)
      when is_atom(name) do
    config = fetch!(name)

    case error do
      %DigestAuthError{status_code: 400} ->
        Message.to_response(request, 400)

      _challenge ->
        stale = match?(%DigestAuthError{stale: true}, error)
        challenges = for algorithm <- config.algorithms, do: parameters(config, algorithm, stale)

        request
        |> Message.to_response(config.status_code)
        |> Message.put_header(DigestAuth.challenge_field(config.status_code), challenges)
    end
  end

  defp parameters(config, algorithm, stale) do
    pairs = [
      {"realm", config.realm},
      {"nonce", Config.nonce(config, algorithm)},
      {"algorithm", algorithm.name},
      {"qop", config.qop != [] and Enum.join(config.qop, ",")},
      {"domain", config.domain && Enum.join(config.domain, " ")},
      {"opaque", config.opaque},
      {"stale", stale and "true"},
      {"userhash", config.userhash and "true"},
      {"charset", config.charset and "UTF-8"}
    ]

    {"Digest", for({name, value} when is_binary(value) <- pairs, into: %{}, do: {name, value})}
  end

  @doc """
  Puts Authentication-Info into a response to a request that was verified (RFC 3261 §20.6, RFC 7616 §3.5).

  It proves that this server knows the secret (`rspauth`, with qop, nc and cnonce of the request), and has a `nextnonce`
  where the nonce has used up half of its time, so that the client need not be challenged. `rspauth` with qop `auth-int` is for
  the body that the response has: put in the body first.

  Of a server with status code 407 the response stays as it is, since SIP has no such header field for proxies.
  """
  @spec put_authentication_info(atom, Message.response(), Identity.t()) :: Message.response()
  def put_authentication_info(name, %Message{} = response, %Identity{} = identity)
      when is_atom(name) do
    config = fetch!(name)
    info = info(config, response, identity)

    if config.status_code == 401 and info != %{},
      do: Message.put_header(response, :authentication_info, info),
      else: response
  end

  defp info(config, response, identity) do
    {:ok, algorithm} = Algorithm.fetch(identity.algorithm)
    Map.merge(proof(algorithm, response, identity), next_nonce(config, algorithm, identity))
  end

  defp proof(_algorithm, _response, %Identity{qop: nil}), do: %{}

  defp proof(algorithm, response, %Identity{qop: qop} = identity) do
    ha2 = Digest.ha2(algorithm, "", identity.uri, qop, response.body)
    rspauth = Digest.response(algorithm, identity.key, Map.from_struct(identity), ha2)
    %{"rspauth" => rspauth, "qop" => qop, "nc" => identity.nc, "cnonce" => identity.cnonce}
  end

  # A session is bound to the nonce it began with.
  defp next_nonce(_config, %{session: true}, _identity), do: %{}

  defp next_nonce(config, algorithm, %Identity{nonce: nonce, qop: qop}) do
    half = config.clock.() - div(config.nonce_lifetime_ms, 2)

    case Config.read_nonce(config, algorithm, nonce) do
      {:ok, {time, _random}} when qop != nil and time >= half -> %{}
      _old_or_used_up -> %{"nextnonce" => Config.nonce(config, algorithm)}
    end
  end
end
