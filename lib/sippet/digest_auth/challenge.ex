defmodule Sippet.DigestAuth.Challenge do
  # The challenges of a response, and which of them is answered. Called by Sippet.DigestAuth.Client only.
  @moduledoc false

  alias Sippet.DigestAuth.Algorithm
  alias Sippet.Message

  # parameters: as in the header map. qop: nil, or what is known of the list.
  @enforce_keys [:realm, :nonce, :algorithm, :qop, :stale, :parameters]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          realm: String.t(),
          nonce: String.t(),
          algorithm: Algorithm.t(),
          qop: [String.t()] | nil,
          stale: boolean,
          parameters: %{String.t() => String.t()}
        }

  @typedoc "A header field of credentials and a realm."
  @type place :: {:authorization | :proxy_authorization, String.t()}

  @fields [www_authenticate: :authorization, proxy_authenticate: :proxy_authorization]

  @doc """
  What a response asks for (§22.3): for each field and realm the challenges of which one is to be answered, in their
  order. Those that cannot be answered are left out: RFC 7616 §3.3 has them ignored.
  """
  @spec read(Message.response()) :: [{place, [t, ...]}]
  def read(%Message{headers: headers}) do
    for {from, to} <- @fields,
        challenges = headers |> Map.get(from) |> values() |> Enum.flat_map(&challenge/1),
        {realm, same} <- by_realm(challenges),
        do: {{to, realm}, same}
  end

  @doc "The parameters of the Digest values of a header field."
  @spec values(term) :: [map]
  def values(list) when is_list(list) do
    for {scheme, %{} = parameters} when is_binary(scheme) <- list,
        String.downcase(scheme, :ascii) == "digest",
        do: parameters
  end

  def values(_absent), do: []

  defp by_realm(challenges) do
    for realm <- challenges |> Enum.map(& &1.realm) |> Enum.uniq(),
        do: {realm, Enum.filter(challenges, &(&1.realm == realm))}
  end

  defp challenge(%{"realm" => realm, "nonce" => nonce} = parameters) do
    with {:ok, algorithm} <- Algorithm.fetch(parameters["algorithm"]),
         {:ok, qop} <- qop(parameters["qop"]) do
      [
        %__MODULE__{
          realm: realm,
          nonce: nonce,
          algorithm: algorithm,
          qop: qop,
          stale: flag?(parameters["stale"]),
          parameters: parameters
        }
      ]
    else
      :error -> []
    end
  end

  defp challenge(_incomplete), do: []

  # What is not known in the list is ignored; a list of nothing else is not answered.
  defp qop(nil), do: {:ok, nil}

  defp qop(text) do
    case for(word <- words(text), word in ["auth", "auth-int"], do: word) do
      [] -> :error
      known -> {:ok, known}
    end
  end

  @doc "The words of a list in quotes, in lower case."
  @spec words(String.t()) :: [String.t()]
  def words(text),
    do: text |> String.downcase(:ascii) |> :binary.split([",", " ", "\t"], [:global, :trim_all])

  @doc "Whether a flag is true."
  @spec flag?(String.t() | nil) :: boolean
  def flag?(nil), do: false
  def flag?(text), do: String.downcase(text, :ascii) == "true"

  @doc """
  The one to answer: the strongest, the first of those that are equally strong; or the first (RFC 8760 §2.4).
  """
  @spec choose([t, ...], :strongest | :topmost) :: t
  def choose([first | _], :topmost), do: first
  def choose(challenges, :strongest), do: Enum.max_by(challenges, & &1.algorithm.strength)
end
