defmodule Sippet.DigestAuthError do
  @moduledoc """
  A request has no credentials that a `Sippet.DigestAuth.Server` takes.

    * `:reason` - a `t:reason/0`
    * `:header` - `:authorization` or `:proxy_authorization`
    * `:parameter` - the parameter at fault, or `nil`
    * `:status_code` - what the request earns: 401 or 407, a challenge, or 400
    * `:stale` - whether the secret was right and only the nonce was not: the client tries again without asking its user

  No field holds anything that the peer sent.

      iex> error = %Sippet.DigestAuthError{reason: :malformed, header: :authorization, parameter: "nc", status_code: 400}
      iex> Exception.message(error)
      "a parameter of the credentials is missing, there twice, or malformed (:authorization, nc)"
  """

  # reason: {sentence, status code or :challenge, stale}
  @reasons [
    no_credentials: {"there are no credentials for this realm", :challenge, false},
    malformed:
      {"a parameter of the credentials is missing, there twice, or malformed", 400, false},
    uri_mismatch: {"the credentials are for another URI than the Request-URI", 400, false},
    algorithm: {"the algorithm was not offered", :challenge, false},
    qop: {"the qop was not offered, or is missing", :challenge, false},
    wrong_credentials: {"username or password are wrong", :challenge, false},
    stale_nonce: {"the nonce has expired", :challenge, true},
    replayed: {"the nonce was used with this count before", :challenge, true}
  ]

  @typedoc """
  Why:

  #{Enum.map_join(@reasons, "\n", fn {reason, {text, _, _}} -> "  * `#{inspect(reason)}` - #{text}" end)}
  """
  @type reason ::
          unquote(
            @reasons
            |> Keyword.keys()
            |> Enum.reduce(&quote(do: unquote(&1) | unquote(&2)))
          )

  @typedoc "See the module."
  @type t :: %__MODULE__{
          reason: reason,
          header: :authorization | :proxy_authorization,
          parameter: String.t() | nil,
          status_code: 400 | 401 | 407,
          stale: boolean
        }

  defexception [:reason, :header, :parameter, :status_code, stale: false]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc false
  @spec new(reason, 401 | 407, String.t() | nil) :: t
  def new(reason, challenge, parameter \\ nil) do
    {_text, status_code, stale} = Keyword.fetch!(@reasons, reason)

    %__MODULE__{
      reason: reason,
      header: if(challenge == 401, do: :authorization, else: :proxy_authorization),
      parameter: parameter,
      status_code: if(status_code == :challenge, do: challenge, else: status_code),
      stale: stale
    }
  end

  @doc """
  The error as a sentence.
  """
  @impl true
  def message(%__MODULE__{reason: reason, header: header, parameter: parameter}) do
    {text, _, _} = Keyword.get(@reasons, reason, {reason, nil, nil})
    place = if parameter, do: "#{inspect(header)}, #{parameter}", else: inspect(header)
    "#{text} (#{place})"
  end
end
