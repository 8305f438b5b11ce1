defmodule Sippet.DigestAuth.Client do
  # Credentials for challenges. Called by Sippet.DigestAuth and Sippet.DigestAuth.Retry only.
  @moduledoc false

  alias Sippet.DigestAuth.{Algorithm, Challenge, Digest}
  alias Sippet.Message

  @max_nc 0xFFFFFFFF

  @options [:cnonce, :nc, :algorithms, :qop, :prefer]

  @doc """
  The options with their defaults; `known` are those of the function they were given to.
  """
  @spec options!(keyword, [atom]) :: map
  def options!(options, known \\ @options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected options to be a keyword list, got: #{inspect(options)}"
    end

    for {key, _value} <- options, key not in known do
      raise ArgumentError, "unknown option #{inspect(key)}, known are: #{inspect(known)}"
    end

    for {key, value} <- options, not good?(key, value) do
      raise ArgumentError, "expected #{inspect(key)} to be #{kind(key)}, got: #{inspect(value)}"
    end

    options = Map.merge(%{nc: 1, qop: "auth-int", prefer: :strongest}, Map.new(options))
    names = Map.get_lazy(options, :algorithms, &Algorithm.names/0)
    Map.put(options, :algorithms, Enum.map(names, &Algorithm.fetch!(&1).name))
  end

  defp good?(:cnonce, value), do: is_binary(value)
  defp good?(:nc, value), do: is_integer(value) and value in 1..@max_nc
  defp good?(:algorithms, value), do: is_list(value)
  defp good?(:qop, value), do: value in ["auth", "auth-int"]
  defp good?(:prefer, value), do: value in [:strongest, :topmost]
  defp good?(:response, value), do: match?(%Message{}, value)

  defp kind(:cnonce), do: "a string"
  defp kind(:nc), do: "a number from 1 to #{@max_nc}"
  defp kind(:algorithms), do: "a list of names"
  defp kind(:qop), do: ~s("auth" or "auth-int")
  defp kind(:prefer), do: ":strongest or :topmost"
  defp kind(:response), do: "a response"

  @doc """
  Answers what a response asks for.

  Returns the request with credentials and the places they are for; else what `auth_fun` refused with, or the reasons of
  `Sippet.DigestAuth.make_request/4`. `allow?` is asked about each place and its challenges.
  """
  @spec answer(
          Message.request(),
          Message.response(),
          Sippet.DigestAuth.auth_fun(),
          map,
          (Challenge.place(), [Challenge.t()] -> boolean)
        ) :: {:ok, Message.request(), [Challenge.place()]} | term
  def answer(request, response, auth_fun, options, allow? \\ fn _place, _challenges -> true end) do
    results =
      for {place, challenges} <- supported(Challenge.read(response), options),
          allow?.(place, challenges),
          do: {place, answer_one(request, place, challenges, auth_fun, options)}

    case for({place, {:credentials, credentials}} <- results, do: {place, credentials}) do
      [] ->
        refusal(Enum.map(results, &elem(&1, 1)))

      answers ->
        places = Enum.map(answers, &elem(&1, 0))
        others = used_again(request, places, auth_fun)
        {:ok, Enum.reduce(others ++ answers, request, &put/2), places}
    end
  end

  # Each request with a nonce is counted, so also one that is sent again for another realm's sake (RFC 7616 §3.4).
  defp used_again(request, answered, auth_fun) do
    for {field, before} <- credentials_of(request),
        is_map_key(before, "nc") and {field, before["realm"]} not in answered,
        {:credentials, place, credentials} <-
          [continue_one(request, {field, before}, auth_fun, options!([]))],
        do: {place, credentials}
  end

  defp supported(places, %{algorithms: names}) do
    for {place, challenges} <- places,
        [_ | _] = challenges <- [Enum.filter(challenges, &(&1.algorithm.name in names))],
        do: {place, challenges}
  end

  # What the program said comes first: it knows what to do about it.
  defp refusal(results) do
    case for({:refused, refusal} <- results, do: refusal) do
      [refusal | _] ->
        refusal

      [] ->
        {:error, if(:unknown_nonce in results, do: :unknown_nonce, else: :invalid_auth_header)}
    end
  end

  defp answer_one(request, {field, realm}, challenges, auth_fun, options) do
    used =
      for {^field, %{"realm" => ^realm, "nonce" => nonce}} <- credentials_of(request), do: nonce

    if Enum.any?(challenges, &(&1.nonce in used)) do
      :unknown_nonce
    else
      case auth_fun.(realm) do
        {:ok, username, secret} -> choose(request, challenges, {username, secret}, options)
        refusal -> {:refused, refusal}
      end
    end
  end

  # An HA1 that is stored is one of this algorithm and no other.
  defp choose(request, challenges, {username, secret}, options) do
    :ok = check_secret!(username, secret)
    username = Digest.nfc(username)

    usable =
      for challenge <- challenges,
          {:ok, ha1} <- [Digest.ha1(challenge.algorithm, username, challenge.realm, secret)],
          do: {challenge, ha1}

    case usable do
      [] ->
        :no_secret

      usable ->
        challenge = usable |> Enum.map(&elem(&1, 0)) |> Challenge.choose(options.prefer)
        {_challenge, ha1} = List.keyfind(usable, challenge, 0)
        {:credentials, credentials(request, challenge, username, ha1, options)}
    end
  end

  # No word of what it was: it may hold a secret.
  defp check_secret!(username, secret) do
    good =
      is_binary(username) and
        case secret do
          {:ha1, %{}} -> true
          password -> is_binary(password)
        end

    if good do
      :ok
    else
      raise ArgumentError,
            "expected {:ok, username, secret} of :auth_fun with strings, or a secret {:ha1, map}"
    end
  end

  defp credentials(request, challenge, username, ha1, options) do
    parameters = %{
      nonce: challenge.nonce,
      qop: qop(challenge.qop, options.qop),
      nc: hexadecimal(options.nc),
      cnonce: Map.get_lazy(options, :cnonce, &Message.create_call_id/0)
    }

    challenge.parameters
    |> Map.take(["realm", "nonce", "algorithm", "opaque"])
    |> Map.merge(name(challenge, username))
    |> complete(request, challenge.algorithm, ha1, parameters)
  end

  defp qop(nil, _wanted), do: nil
  defp qop(offered, wanted), do: if(wanted in offered, do: wanted, else: hd(offered))

  # RFC 7616 §3.4: the name as a hash, or in the encoding of RFC 5987 for a server that says it can read that. In SIP
  # any other name is a quoted string, which may hold UTF-8 (§25.1).
  defp name(challenge, username) do
    cond do
      Challenge.flag?(challenge.parameters["userhash"]) ->
        hash = Digest.userhash(challenge.algorithm, username, challenge.realm)
        %{"username" => hash, "userhash" => "true"}

      is_map_key(challenge.parameters, "charset") and encode?(username) ->
        %{"username*" => "UTF-8''" <> URI.encode(username, &URI.char_unreserved?/1)}

      true ->
        %{"username" => username}
    end
  end

  defp encode?(text), do: String.valid?(text) and text =~ ~r/[^\x20-\x7e]/u

  # Adds uri, response and what the hash is made of.
  defp complete(credentials, request, algorithm, ha1, %{qop: qop} = parameters) do
    uri = to_string(request.start_line.request_uri)
    method = Digest.method(request.start_line.method)
    key = Digest.session(algorithm, ha1, parameters.nonce, parameters.cnonce)
    ha2 = Digest.ha2(algorithm, method, uri, qop, request.body)
    response = Digest.response(algorithm, key, parameters, ha2)
    credentials = Map.merge(credentials, %{"uri" => uri, "response" => response})

    cond do
      qop != nil ->
        Map.merge(credentials, %{
          "qop" => qop,
          "nc" => parameters.nc,
          "cnonce" => parameters.cnonce
        })

      algorithm.session ->
        Map.put(credentials, "cnonce", parameters.cnonce)

      true ->
        credentials
    end
  end

  @doc "Eight hexadecimal digits, in lower case (RFC 7616 §3.4)."
  @spec hexadecimal(non_neg_integer) :: String.t()
  def hexadecimal(nc), do: Base.encode16(<<nc::32>>, case: :lower)

  # Those for the realm that are there already go (§22.2): a server reads one, and it is not said which.
  defp put({{field, realm}, credentials}, request) do
    others =
      request.headers
      |> Map.get(field, [])
      |> Enum.reject(
        &(Challenge.values([&1])
          |> Enum.any?(fn each -> each["realm"] == realm end))
      )

    Message.put_header(request, field, others ++ [{"Digest", credentials}])
  end

  defp credentials_of(%Message{headers: headers}) do
    for field <- [:authorization, :proxy_authorization],
        parameters <- headers |> Map.get(field) |> Challenge.values(),
        do: {field, parameters}
  end

  @doc """
  Credentials for a request out of those of one before it: the same nonce, counted on, or the `nextnonce` of a response.
  """
  @spec continue(Message.request(), Message.request(), Sippet.DigestAuth.auth_fun(), map) ::
          {:ok, Message.request()} | term
  def continue(request, previous, auth_fun, options) do
    results =
      for before <- credentials_of(previous), do: continue_one(request, before, auth_fun, options)

    case for({:credentials, place, credentials} <- results, do: {place, credentials}) do
      [] -> refusal(results)
      answers -> {:ok, Enum.reduce(answers, request, &put/2)}
    end
  end

  defp continue_one(request, {field, %{"realm" => realm} = before}, auth_fun, options) do
    with {:ok, algorithm} <- Algorithm.fetch(before["algorithm"]),
         {:ok, parameters} <- next(field, before, algorithm, options),
         {:ok, username, secret} <- refused(auth_fun.(realm)),
         :ok <- check_secret!(username, secret),
         username = Digest.nfc(username),
         {:ok, ha1} <- Digest.ha1(algorithm, username, realm, secret) do
      credentials =
        before
        |> sent_name(username)
        |> Map.merge(Map.take(before, ~w(realm algorithm opaque)))
        |> Map.put("nonce", parameters.nonce)
        |> complete(request, algorithm, ha1, parameters)

      {:credentials, {field, realm}, credentials}
    end
  end

  defp continue_one(_request, _no_realm, _auth_fun, _options), do: :error

  # A hash or an encoded name stands for the same name again.
  defp sent_name(%{"userhash" => "true"} = before, _username),
    do: Map.take(before, ~w(username userhash))

  defp sent_name(%{"username*" => name}, _username), do: %{"username*" => name}
  defp sent_name(_plain, username), do: %{"username" => username}

  defp refused({:ok, username, secret}), do: {:ok, username, secret}
  defp refused(refusal), do: {:refused, refusal}

  # The hash of a session goes on with the nonce and cnonce that it began with (RFC 7616 §3.4.2).
  defp next(field, %{"nonce" => nonce} = before, algorithm, options) do
    case {nextnonce(field, options), before} do
      {next, _before} when next != nil and not algorithm.session ->
        {:ok, %{nonce: next, qop: before["qop"], nc: hexadecimal(1), cnonce: cnonce(options)}}

      {_none, %{"qop" => qop, "nc" => nc, "cnonce" => cnonce}} ->
        case Integer.parse(nc, 16) do
          {count, ""} when count in 1..(@max_nc - 1)//1 ->
            cnonce = if algorithm.session, do: cnonce, else: cnonce(options)
            {:ok, %{nonce: nonce, qop: qop, nc: hexadecimal(count + 1), cnonce: cnonce}}

          _used_up ->
            :error
        end

      _no_qop ->
        {:ok, %{nonce: nonce, qop: nil, nc: nil, cnonce: before["cnonce"]}}
    end
  end

  defp next(_field, _no_nonce, _algorithm, _options), do: :error

  defp cnonce(options), do: Map.get_lazy(options, :cnonce, &Message.create_call_id/0)

  defp nextnonce(:authorization, %{response: %{headers: %{authentication_info: %{} = info}}}),
    do: info["nextnonce"]

  defp nextnonce(_field, _options), do: nil

  @doc """
  Whether `rspauth` of a response is that of somebody who knows the secret (RFC 7616 §3.5).
  """
  @spec check(Message.request(), Message.response(), Sippet.DigestAuth.auth_fun()) ::
          :ok | {:error, :no_authentication_info | :wrong_rspauth} | term
  def check(request, response, auth_fun) do
    with %{"rspauth" => rspauth} = info <- Map.get(response.headers, :authentication_info),
         %{"realm" => realm, "uri" => uri, "nonce" => nonce} = sent <- sent(request, info),
         {:ok, algorithm} <- Algorithm.fetch(sent["algorithm"]),
         {:ok, username, secret} <- refused(auth_fun.(realm)),
         :ok <- check_secret!(username, secret),
         {:ok, ha1} <- Digest.ha1(algorithm, Digest.nfc(username), realm, secret) do
      key = Digest.session(algorithm, ha1, nonce, sent["cnonce"])
      ha2 = Digest.ha2(algorithm, "", uri, info["qop"] || sent["qop"], response.body)
      parameters = %{nonce: nonce, qop: sent["qop"], nc: sent["nc"], cnonce: sent["cnonce"]}
      expected = Digest.response(algorithm, key, parameters, ha2)

      if same?(expected, String.downcase(rspauth, :ascii)),
        do: :ok,
        else: {:error, :wrong_rspauth}
    else
      {:refused, refusal} -> refusal
      _nothing -> {:error, :no_authentication_info}
    end
  end

  # It names no realm: what was sent is found by its cnonce.
  defp sent(request, info) do
    request.headers
    |> Map.get(:authorization)
    |> Challenge.values()
    |> Enum.find(&(&1["cnonce"] == info["cnonce"] and &1["qop"] != nil and &1["nc"] != nil))
  end

  @doc "Compares in a time that does not tell how much is equal."
  @spec same?(String.t(), String.t()) :: boolean
  def same?(a, b), do: byte_size(a) == byte_size(b) and :crypto.hash_equals(a, b)
end
