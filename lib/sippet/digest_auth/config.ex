defmodule Sippet.DigestAuth.Config do
  # What a digest server is made of: its options, checked, and its nonces. Called by Sippet.DigestAuth.Server and
  # Sippet.DigestAuth.Verification only.
  @moduledoc false

  alias Sippet.DigestAuth.{Algorithm, Nonce, Window}

  @derive {Inspect, only: [:realm, :status_code]}
  defstruct [
    :name,
    :realm,
    :credentials,
    :secret,
    :dummy,
    :window,
    :domain,
    :opaque,
    status_code: 401,
    algorithms: ["SHA-256", "MD5"],
    qop: ["auth"],
    nonce_lifetime_ms: 300_000,
    max_nonces: 100_000,
    userhash: false,
    charset: false,
    check_uri: true,
    clock: &__MODULE__.now/0
  ]

  @type t :: %__MODULE__{}

  @known [
    name: "an atom",
    realm: "a string without CR, LF and NUL",
    credentials: "a function of two arguments",
    status_code: "401 or 407",
    algorithms: "a list of algorithms, each once, not empty",
    qop: ~s(a list of "auth" and "auth-int"),
    nonce_lifetime_ms: "a positive number of milliseconds",
    max_nonces: "a positive integer",
    domain: "a list of URIs as strings",
    opaque: "a string without CR, LF and NUL",
    userhash: "a boolean",
    charset: "a boolean",
    check_uri: "a boolean",
    secret: "32 bytes or more, or a function that returns them",
    clock: "a function without arguments"
  ]

  @doc "Of the options; raises `ArgumentError` for bad ones."
  @spec new!(keyword) :: t
  def new!(options) do
    unless Keyword.keyword?(options),
      do: raise(ArgumentError, "expected a keyword list of options")

    for key <- [:name, :realm, :credentials], not Keyword.has_key?(options, key) do
      raise ArgumentError, "expected option #{inspect(key)} to be present"
    end

    for {key, value} <- options do
      kind = @known[key] || raise ArgumentError, "unknown option #{inspect(key)}"
      # Not what was got: a secret may stand in the wrong place.
      unless good?(key, value), do: raise(ArgumentError, "expected #{inspect(key)} to be #{kind}")
    end

    config = struct!(__MODULE__, options)

    %{
      config
      | algorithms: Enum.map(config.algorithms, &Algorithm.fetch!/1),
        secret: secret!(config.secret),
        dummy: Base.encode64(:crypto.strong_rand_bytes(12))
    }
  end

  defp good?(:name, value), do: is_atom(value) and value not in [nil, true, false]
  defp good?(key, value) when key in [:realm, :opaque], do: writable?(value)
  defp good?(:credentials, value), do: is_function(value, 2)
  defp good?(:status_code, value), do: value in [401, 407]

  defp good?(:algorithms, value) do
    names = for name when is_binary(name) <- List.wrap(value), do: String.upcase(name, :ascii)
    is_list(value) and value != [] and Enum.uniq(names) == names
  end

  defp good?(:qop, value), do: is_list(value) and value -- ["auth", "auth-int"] == []

  # The list has a space between two (RFC 7616 §3.3).
  defp good?(:domain, value),
    do:
      is_list(value) and
        Enum.all?(value, &(writable?(&1) and &1 != "" and not String.contains?(&1, " ")))

  defp good?(:secret, value), do: is_function(value, 0) or secret?(value)
  defp good?(:clock, value), do: is_function(value, 0)

  defp good?(key, value) when key in [:nonce_lifetime_ms, :max_nonces],
    do: is_integer(value) and value > 0

  defp good?(_flag, value), do: is_boolean(value)

  # What no challenge could be written with is refused at once, not by each request.
  defp writable?(value), do: is_binary(value) and not String.contains?(value, ["\r", "\n", "\0"])

  defp secret?(value), do: is_binary(value) and byte_size(value) >= 32

  defp secret!(nil), do: :crypto.strong_rand_bytes(32)

  defp secret!(function) when is_function(function) do
    secret = function.()

    unless secret?(secret),
      do: raise(ArgumentError, "expected :secret to return 32 bytes or more")

    secret
  end

  defp secret!(secret), do: secret

  @doc false
  @spec now() :: non_neg_integer
  def now, do: System.system_time(:millisecond)

  @doc "The header field that credentials come in."
  @spec field(t) :: :authorization | :proxy_authorization
  def field(%__MODULE__{status_code: 401}), do: :authorization
  def field(%__MODULE__{status_code: 407}), do: :proxy_authorization

  @doc "With a window of the calling process."
  @spec open(t) :: t
  def open(config), do: %{config | window: Window.new(config.max_nonces, config.clock.())}

  @doc "A new nonce for a challenge with this algorithm, after the floor, below which none is taken."
  @spec nonce(t, Algorithm.t()) :: String.t()
  def nonce(config, algorithm) do
    time = max(config.clock.(), Window.floor_time(config.window) + 1)
    Nonce.create(config.secret, purpose(config, algorithm), time)
  end

  @doc "Reads a nonce that was made for this algorithm."
  @spec read_nonce(t, Algorithm.t(), String.t()) :: {:ok, Nonce.id()} | :error
  def read_nonce(config, algorithm, nonce),
    do: Nonce.read(config.secret, purpose(config, algorithm), nonce)

  defp purpose(config, algorithm), do: [algorithm.base, 0, config.realm]
end
