defmodule Sippet.DigestAuth do
  @moduledoc """
  Digest authentication, the client's side (RFC 3261 §22, RFC 7616, RFC 8760); the server's is `Sippet.DigestAuth.Server`.

  MD5, SHA-256 and SHA-512-256, each also with `-sess`; qop `auth` and `auth-int`, or none as in RFC 2069.

  Most programs need nothing of this: `Sippet.request/3` answers challenges by itself with the option `:credentials`. Who
  sends by `Sippet.send/2` calls `make_request/4` with the 401 or 407, and sends the result as a request of its own: with
  the next CSeq number and a new branch in its Via (§22.2, §8.1.3.5), which are the caller's to set.

  Passwords and HA1s do not appear in exceptions. `guides/authentication.md` shows both sides.
  """

  alias Sippet.DigestAuth.{Algorithm, Client, Digest}
  alias Sippet.Message

  @typedoc """
  A password, or what is stored instead of one: H(A1) for each algorithm, as `ha1/4` makes it. The names are those
  without `-sess`: `{:ha1, %{"MD5" => "...", "SHA-256" => "..."}}`. What has no HA1 stored is not used.
  """
  @type secret :: String.t() | {:ha1, %{String.t() => String.t()}}

  @typedoc "Gives name and secret for a realm. Anything but `{:ok, _, _}` is a refusal."
  @type auth_fun :: (realm :: String.t() -> {:ok, username :: String.t(), secret} | term)

  @typedoc "Why a challenge cannot be answered; see `make_request/4`."
  @type reason :: :invalid_auth_header | :unknown_nonce

  @doc """
  The algorithms that are known, the strongest first.

      iex> Sippet.DigestAuth.algorithms()
      ["SHA-512-256", "SHA-512-256-sess", "SHA-256", "SHA-256-sess", "MD5", "MD5-sess"]
  """
  @spec algorithms() :: [String.t()]
  defdelegate algorithms, to: Algorithm, as: :names

  @doc """
  Puts credentials into a request, for the challenges of the response to it.

  Both WWW-Authenticate and Proxy-Authenticate are answered, each realm in them once (§22.3): a response that proxies have
  put together of several may have many. `auth_fun` is called for each realm; if it has credentials for some of them only,
  those are put in. Credentials that the request has for the realm are replaced. Those for other realms are counted on, as
  by `continue_request/4`: a proxy that has seen this nonce and count would take them for a replay. Where `auth_fun` has no
  secret for them they stay.

  Of several challenges for one realm the strongest is answered; SHA-256 and SHA-512-256 count as equally strong, and
  among equals the topmost one wins, by which the server says what it prefers (RFC 8760 §2.4). Challenges with another
  scheme or an unknown algorithm are ignored, as is a qop that is not known.

  ## Options

    * `:cnonce` - the client's nonce; default 120 random bits
    * `:nc` - how often the nonce was used with this request, `1` to `0xFFFFFFFF`; default `1`
    * `:algorithms` - those that may be used, default `algorithms/0`
    * `:prefer` - `:strongest`, the default, or `:topmost`, which leaves the choice to the server alone
    * `:qop` - which one to take where both are offered: `"auth-int"`, the default, covers the body, and fails where an
      element on the way changes it; `"auth"` does not cover it

  ## Results

    * `{:ok, request}` - with `:authorization`, `:proxy_authorization` or both
    * `{:error, :unknown_nonce}` - the request has credentials with this nonce already, and they were refused
    * `{:error, :invalid_auth_header}` - there is no challenge that can be answered
    * what `auth_fun` returned instead of `{:ok, username, secret}`

  RFC 3261 §22.2, §22.3, RFC 7616 §3.4, RFC 8760 §2.4.

      iex> alias Sippet.{DigestAuth, Message}
      iex> request = Message.build_request(:register, "sip:biloxi.com")
      iex> response =
      ...>   Message.build_response(401)
      ...>   |> Message.put_header(:www_authenticate, [
      ...>     {"Digest", %{"realm" => "biloxi.com", "nonce" => "8f3a", "algorithm" => "SHA-256"}},
      ...>     {"Digest", %{"realm" => "biloxi.com", "nonce" => "77b0", "algorithm" => "MD5"}}
      ...>   ])
      iex> {:ok, request} =
      ...>   DigestAuth.make_request(request, response, fn "biloxi.com" -> {:ok, "bob", "zanzibar"} end)
      iex> [{"Digest", credentials}] = request.headers.authorization
      iex> Map.take(credentials, ["username", "nonce", "algorithm", "uri"])
      %{"username" => "bob", "nonce" => "8f3a", "algorithm" => "SHA-256", "uri" => "sip:biloxi.com"}
  """
  @spec make_request(Message.request(), Message.response(), auth_fun, keyword) ::
          {:ok, Message.request()} | {:error, reason} | term
  def make_request(%Message{} = request, %Message{} = response, auth_fun, options \\ [])
      when is_function(auth_fun, 1) do
    with {:ok, request, _places} <-
           Client.answer(request, response, auth_fun, Client.options!(options)),
         do: {:ok, request}
  end

  @doc """
  Puts credentials into a request, before it is challenged, that follow those of a request that was accepted.

  `previous` is that request. Its nonces are used again, counted on by one; what its response said is the next nonce
  (§20.6) is used instead where it is given as `:response`. A server may still say that the nonce is stale.

  The request gets the credentials for the realms that `previous` has some for. Options are `:response` and `:cnonce`;
  results are those of `make_request/4`, with `{:error, :invalid_auth_header}` where `previous` has no credentials that can
  be used again.

      iex> alias Sippet.{DigestAuth, Message}
      iex> auth_fun = fn "biloxi.com" -> {:ok, "bob", "zanzibar"} end
      iex> challenge = {"Digest", %{"realm" => "biloxi.com", "nonce" => "8f3a", "qop" => "auth"}}
      iex> response = Message.put_header(Message.build_response(401), :www_authenticate, [challenge])
      iex> register = Message.build_request(:register, "sip:biloxi.com")
      iex> {:ok, first} = DigestAuth.make_request(register, response, auth_fun)
      iex> {:ok, second} = DigestAuth.continue_request(register, first, auth_fun)
      iex> for %{headers: %{authorization: [{"Digest", it}]}} <- [first, second], do: {it["nonce"], it["nc"]}
      [{"8f3a", "00000001"}, {"8f3a", "00000002"}]
  """
  @spec continue_request(Message.request(), Message.request(), auth_fun, keyword) ::
          {:ok, Message.request()} | {:error, :invalid_auth_header} | term
  def continue_request(%Message{} = request, %Message{} = previous, auth_fun, options \\ [])
      when is_function(auth_fun, 1) do
    options = Client.options!(options, [:response, :cnonce])
    Client.continue(request, previous, auth_fun, options)
  end

  @doc """
  Tells whether a response comes from somebody who knows the secret, by Authentication-Info (RFC 7616 §3.5).

  `request` is the one with the credentials. Returns `:ok`, `{:error, :wrong_rspauth}`, `{:error, :no_authentication_info}`
  where the response has no `rspauth` for them, or what `auth_fun` refused with.
  """
  @spec check_response(Message.request(), Message.response(), auth_fun) ::
          :ok | {:error, :wrong_rspauth | :no_authentication_info} | term
  def check_response(%Message{} = request, %Message{} = response, auth_fun)
      when is_function(auth_fun, 1),
      do: Client.check(request, response, auth_fun)

  @doc """
  Makes a 401 or 407 with one challenge for a realm, or one for each algorithm.

  The nonce is random, and nobody remembers it: `Sippet.DigestAuth.Server` makes nonces that can be verified.

  Options: `:nonce` and `:opaque`, by default 43 random characters each; `:algorithm`, one or a list of them, the best
  first, default `"MD5"`; `:qop`, default `"auth"`, `nil` for none; `:stale`, default `false`.

      iex> alias Sippet.{DigestAuth, Message}
      iex> request =
      ...>   Message.build_request(:register, "sip:biloxi.com")
      ...>   |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:bob@biloxi.com"), %{}})
      iex> {:ok, response} = DigestAuth.make_response(request, 401, "biloxi.com", nonce: "1", opaque: "2")
      iex> response.headers.www_authenticate
      [{"Digest", %{"algorithm" => "MD5", "nonce" => "1", "opaque" => "2", "qop" => "auth", "realm" => "biloxi.com"}}]
  """
  @spec make_response(Message.request(), 401 | 407, String.t(), keyword) ::
          {:ok, Message.response()}
  def make_response(%Message{} = request, status_code, realm, options \\ [])
      when status_code in [401, 407] and is_binary(realm) do
    options =
      Keyword.validate!(options, [
        :nonce,
        :opaque,
        algorithm: "MD5",
        qop: "auth",
        stale: false
      ])

    parameters =
      %{
        "realm" => realm,
        "nonce" => options[:nonce] || random(),
        "opaque" => options[:opaque] || random()
      }
      |> Map.merge(if(options[:qop], do: %{"qop" => options[:qop]}, else: %{}))
      |> Map.merge(if(options[:stale], do: %{"stale" => "true"}, else: %{}))

    challenges =
      for algorithm <- List.wrap(options[:algorithm]),
          do: {"Digest", Map.put(parameters, "algorithm", algorithm)}

    response = Message.to_response(request, status_code)
    {:ok, Message.put_header(response, challenge_field(status_code), challenges)}
  end

  defp random, do: Base.url_encode64(:crypto.strong_rand_bytes(32), padding: false)

  @doc false
  @spec challenge_field(401 | 407) :: :www_authenticate | :proxy_authenticate
  def challenge_field(401), do: :www_authenticate
  def challenge_field(407), do: :proxy_authenticate

  @doc """
  H(A1), which a server may store instead of a password, in hexadecimal digits.

  It is as good as the password for this realm and algorithm: keep it as secret. Raises `ArgumentError` for an unknown
  algorithm. The password is hashed in normal form C (RFC 7616 §4).

      iex> Sippet.DigestAuth.ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
      "939e7578ed9e3c518a452acee763bce9"
  """
  @spec ha1(String.t(), String.t(), String.t(), String.t()) :: String.t()
  def ha1(username, realm, password, algorithm \\ "MD5")
      when is_binary(username) and is_binary(realm) and is_binary(password) do
    {:ok, ha1} = Digest.ha1(Algorithm.fetch!(algorithm), Digest.nfc(username), realm, password)

    ha1
  end

  @doc """
  The hash by which a client may name its user (RFC 7616 §3.4.4), in hexadecimal digits.

      iex> Sippet.DigestAuth.userhash("alice", "atlanta.example.com", "MD5")
      "165c6d0d0bd419749f83e7b0a6b6c5d6"
  """
  @spec userhash(String.t(), String.t(), String.t()) :: String.t()
  def userhash(username, realm, algorithm \\ "MD5")
      when is_binary(username) and is_binary(realm),
      do: Digest.userhash(Algorithm.fetch!(algorithm), Digest.nfc(username), realm)
end
