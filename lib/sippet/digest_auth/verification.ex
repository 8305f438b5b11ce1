defmodule Sippet.DigestAuth.Verification do
  # What a digest server makes of the credentials of a request. Called by Sippet.DigestAuth.Server only.
  @moduledoc false

  alias Sippet.DigestAuth.{Algorithm, Client, Config, Credentials, Digest, Identity, Window}
  alias Sippet.{Message, URI}

  @doc """
  Verifies; an error is the reason and the parameter at fault.

  What can be told from the text alone comes first. Then all is computed for everybody, and the nonce judged last: who does
  not know the secret learns nothing of it.
  """
  @spec run(Config.t(), Message.request()) ::
          {:ok, Identity.t()} | {:error, Sippet.DigestAuthError.reason(), String.t() | nil}
  def run(config, request) do
    with {:ok, parameters} <- pick(config, request),
         {:ok, credentials} <- Credentials.read(parameters),
         :ok <- offered(config, credentials),
         :ok <- same_uri(config, credentials.uri, request.start_line),
         {:ok, identity, id} <- right(config, credentials, request),
         :ok <- fresh(config, credentials, id, request.start_line.method),
         do: {:ok, identity}
  end

  defp pick(config, request) do
    field = Config.field(config)

    case Credentials.for_realm(request, field, config.realm) do
      [] ->
        {:error, :no_credentials, nil}

      several ->
        if Credentials.ambiguous?(request, field),
          do: {:error, :malformed, nil},
          else: {:ok, Enum.max_by(several, &time(config, &1))}
    end
  end

  defp time(config, parameters) do
    with {:ok, algorithm} <- Algorithm.fetch(parameters["algorithm"]),
         {:ok, {time, _random}} <- Config.read_nonce(config, algorithm, parameters["nonce"] || "") do
      time
    else
      :error -> -1
    end
  end

  defp offered(config, %{algorithm: algorithm, qop: qop}) do
    cond do
      algorithm not in config.algorithms -> {:error, :algorithm, "algorithm"}
      qop == nil and config.qop != [] -> {:error, :qop, "qop"}
      qop != nil and qop not in config.qop -> {:error, :qop, "qop"}
      true -> :ok
    end
  end

  # The ACK to a 2xx goes to the Contact of the 2xx, and its credentials are for where the INVITE went.
  defp same_uri(_config, _text, %{method: :ack}), do: :ok
  defp same_uri(%{check_uri: false}, _text, _start_line), do: :ok

  defp same_uri(_config, text, start_line) do
    with {:ok, uri} <- URI.parse(text),
         true <- URI.equivalent(uri, start_line.request_uri) do
      :ok
    else
      _other -> {:error, :uri_mismatch, "uri"}
    end
  end

  # Whether the response is that of somebody who knows the secret. All is computed for everybody before anything is told.
  defp right(config, credentials, request) do
    %{algorithm: algorithm, nonce: nonce, cnonce: cnonce, uri: uri, qop: qop} = credentials
    {known, username, ha1, data} = user(config, credentials)

    ha2s =
      for method <- methods(request), do: Digest.ha2(algorithm, method, uri, qop, request.body)

    id =
      case Config.read_nonce(config, algorithm, nonce) do
        {:ok, id} -> id
        :error -> nil
      end

    key =
      config
      |> cnonces(algorithm, id, cnonce)
      |> Enum.map(&Digest.session(algorithm, ha1, nonce, &1))
      |> Enum.find(fn key ->
        ha2s
        |> Enum.map(&Digest.response(algorithm, key, credentials, &1))
        |> Enum.any?(&Client.same?(&1, credentials.response))
      end)

    if key != nil and known do
      {:ok,
       %Identity{
         username: username,
         realm: config.realm,
         data: data,
         algorithm: algorithm.name,
         qop: qop,
         nonce: nonce,
         nc: credentials.nc,
         cnonce: cnonce,
         uri: uri,
         key: key
       }, id}
    else
      {:error, :wrong_credentials, nil}
    end
  end

  # An ACK has the credentials of its INVITE (§22.1); some clients make it some of its own.
  defp methods(%{start_line: %{method: :ack}}), do: ["INVITE", "ACK"]
  defp methods(%{start_line: %{method: method}}), do: [Digest.method(method)]

  # A session goes on with the cnonce that it began with (RFC 7616 §3.4.2); not all clients do so.
  defp cnonces(config, %{session: true}, id, cnonce) when id != nil do
    case Window.first_cnonce(config.window, id) do
      nil -> [cnonce]
      ^cnonce -> [cnonce]
      first -> [cnonce, first]
    end
  end

  defp cnonces(_config, _algorithm, _id, cnonce), do: [cnonce]

  # {known, username, H(A1), data}. A password is hashed for those that have none, too: one more hash would tell them apart.
  defp user(config, %{algorithm: algorithm, username: sent}) do
    asked = with {:userhash, hash} <- sent, do: {:userhash, hash, algorithm.name}
    {secret, options} = secret(config.credentials.(asked, config.realm))
    username = Keyword.get(options, :username, if(is_tuple(sent), do: "", else: sent))
    hashed = if is_tuple(sent), do: Digest.nfc(username), else: sent
    password = if is_binary(secret), do: secret, else: config.dummy
    {:ok, ha1} = Digest.ha1(algorithm, hashed, config.realm, password)

    case secret do
      {:ha1, _stored} ->
        case Digest.ha1(algorithm, hashed, config.realm, secret) do
          {:ok, stored} -> {true, username, stored, options[:data]}
          :error -> {false, username, ha1, nil}
        end

      secret ->
        {secret != nil, username, ha1, options[:data]}
    end
  end

  defp secret({:ok, secret}), do: secret({:ok, secret, []})

  defp secret({:ok, {:ha1, %{}} = secret, options}) when is_list(options), do: {secret, options}

  defp secret({:ok, secret, options}) when is_binary(secret) and is_list(options),
    do: {secret, options}

  defp secret(_no_such_user), do: {nil, []}

  # Only who knows the secret comes this far and is told that the nonce is stale (RFC 7616 §3.3).
  defp fresh(_config, _credentials, nil, _method), do: {:error, :stale_nonce, "nonce"}
  defp fresh(_config, _credentials, _id, :ack), do: :ok

  defp fresh(config, %{count: count, cnonce: cnonce, algorithm: algorithm}, id, _method) do
    {time, _random} = id

    if config.clock.() - time > config.nonce_lifetime_ms do
      {:error, :stale_nonce, "nonce"}
    else
      case Window.use(config.window, id, count, if(algorithm.session, do: cnonce)) do
        :ok -> :ok
        :replayed -> {:error, :replayed, "nc"}
        :forgotten -> {:error, :stale_nonce, "nonce"}
      end
    end
  end
end
