defmodule Sippet.DigestAuth.Credentials do
  # Credentials out of a request, as a server gets them from anybody. Called by Sippet.DigestAuth.Server only.
  @moduledoc false

  alias Sippet.DigestAuth.{Algorithm, Challenge}
  alias Sippet.Message

  # username: the name, or {:userhash, hash}. nc: the text that is hashed, count: the number.
  @enforce_keys [
    :username,
    :realm,
    :nonce,
    :uri,
    :response,
    :algorithm,
    :qop,
    :nc,
    :count,
    :cnonce
  ]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          username: String.t() | {:userhash, String.t()},
          realm: String.t(),
          nonce: String.t(),
          uri: String.t(),
          response: String.t(),
          algorithm: Algorithm.t(),
          qop: String.t() | nil,
          nc: String.t() | nil,
          count: pos_integer,
          cnonce: String.t() | nil
        }

  @doc "The parameters of the Digest credentials that a request has for a realm."
  @spec for_realm(Message.request(), :authorization | :proxy_authorization, String.t()) :: [map]
  def for_realm(%Message{headers: headers}, field, realm),
    do: headers |> Map.get(field) |> Challenge.values() |> Enum.filter(&(&1["realm"] == realm))

  @doc """
  Whether a parameter was there twice: the map has the last, and somebody else may have believed the first.
  """
  @spec ambiguous?(Message.request(), :authorization | :proxy_authorization) :: boolean
  def ambiguous?(%Message{defects: defects}, field) do
    name = if field == :authorization, do: "Authorization", else: "Proxy-Authorization"
    Enum.any?(defects, &match?(%{header: ^name, reason: :duplicate_parameter}, &1))
  end

  @doc "Reads parameters; an error names the reason and the parameter at fault."
  @spec read(map) :: {:ok, t} | {:error, :malformed | :algorithm | :qop, String.t()}
  def read(parameters) do
    with {:ok, username} <- username(parameters),
         {:ok, nonce} <- text(parameters, "nonce"),
         {:ok, uri} <- text(parameters, "uri"),
         {:ok, algorithm} <- algorithm(parameters),
         {:ok, response} <- response(parameters, algorithm),
         {:ok, counted} <- counted(parameters, algorithm) do
      {:ok,
       struct!(
         %__MODULE__{
           username: username,
           realm: parameters["realm"],
           nonce: nonce,
           uri: uri,
           response: response,
           algorithm: algorithm,
           qop: nil,
           nc: nil,
           count: 1,
           cnonce: nil
         },
         counted
       )}
    end
  end

  defp text(parameters, name) do
    case parameters do
      %{^name => value} when value != "" -> {:ok, value}
      _absent -> {:error, :malformed, name}
    end
  end

  # RFC 7616 §3.4: one of both, and the encoded one is no hash.
  defp username(parameters) do
    case {parameters, Challenge.flag?(parameters["userhash"])} do
      {%{"username" => _, "username*" => _}, _hashed} -> {:error, :malformed, "username*"}
      {%{"username" => hash}, true} -> {:ok, {:userhash, String.downcase(hash, :ascii)}}
      {%{"username" => name}, false} -> {:ok, name}
      {%{"username*" => encoded}, false} -> decode(encoded)
      {_none, _hashed} -> {:error, :malformed, "username"}
    end
  end

  # charset "'" [ language ] "'" value-chars (RFC 5987 §3.2.1)
  defp decode(encoded) do
    with [charset, _language, value] <- :binary.split(encoded, "'", [:global]),
         "utf-8" <- String.downcase(charset, :ascii),
         name = Sippet.URI.percent_unescape(value),
         true <- String.valid?(name) do
      {:ok, name}
    else
      _other -> {:error, :malformed, "username*"}
    end
  end

  defp algorithm(parameters) do
    with :error <- Algorithm.fetch(parameters["algorithm"]), do: {:error, :algorithm, "algorithm"}
  end

  defp response(parameters, %{digits: digits}) do
    case parameters do
      %{"response" => response} when byte_size(response) == digits ->
        {:ok, String.downcase(response, :ascii)}

      _other ->
        {:error, :malformed, "response"}
    end
  end

  defp counted(parameters, algorithm) do
    case parameters do
      %{"qop" => qop} ->
        with {:ok, qop} <- qop(qop),
             {:ok, cnonce} <- text(parameters, "cnonce"),
             {:ok, nc, count} <- nc(parameters["nc"]),
             do: {:ok, qop: qop, nc: nc, count: count, cnonce: cnonce}

      _none when algorithm.session ->
        with {:ok, cnonce} <- text(parameters, "cnonce"), do: {:ok, cnonce: cnonce}

      _none ->
        {:ok, []}
    end
  end

  defp qop(text) when byte_size(text) <= 16 do
    case String.downcase(text, :ascii) do
      "auth" -> {:ok, "auth"}
      "auth-int" -> {:ok, "auth-int"}
      _other -> {:error, :qop, "qop"}
    end
  end

  defp qop(_too_long), do: {:error, :qop, "qop"}

  # 8LHEX, and a count begins with 1.
  defp nc(<<nc::binary-size(8)>>) do
    case Base.decode16(nc, case: :mixed) do
      {:ok, <<count::32>>} when count > 0 -> {:ok, nc, count}
      _other -> {:error, :malformed, "nc"}
    end
  end

  defp nc(_other), do: {:error, :malformed, "nc"}
end
