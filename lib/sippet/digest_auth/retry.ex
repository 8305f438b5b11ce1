defmodule Sippet.DigestAuth.Retry do
  # Which challenges Sippet.request/3 answers by itself: each realm once, and once more where its nonce was stale
  # (RFC 7616 §3.3). What is refused after that is refused for good: the same credentials are not sent again (§22.2).
  @moduledoc false

  alias Sippet.DigestAuth.{Challenge, Client}
  alias Sippet.Message

  # answered: how often each place was. The function keeps the secrets out of sight.
  @enforce_keys [:auth_fun]
  defstruct @enforce_keys ++ [answered: %{}]

  @type t :: %__MODULE__{
          auth_fun: Sippet.DigestAuth.auth_fun(),
          answered: %{Challenge.place() => pos_integer}
        }

  @doc "Of the option `:credentials` of `Sippet.request/3`; `:error` where it has another shape."
  @spec new(term) :: {:ok, t} | :error
  def new(credentials) when is_function(credentials, 1) do
    {:ok,
     %__MODULE__{
       auth_fun: fn realm ->
         case credentials.(realm) do
           {username, secret} when is_binary(username) -> {:ok, username, secret}
           _none -> :none
         end
       end
     }}
  end

  def new(credentials) when is_map(credentials) or is_list(credentials) do
    if Enum.all?(credentials, &credentials?/1) do
      known = Map.new(credentials)
      new(fn realm -> Map.get_lazy(known, realm, fn -> Map.get(known, :any) end) end)
    else
      :error
    end
  end

  def new(_other), do: :error

  defp credentials?({realm, {username, secret}}) when is_binary(username),
    do: (is_binary(realm) or realm == :any) and secret?(secret)

  defp credentials?(_other), do: false

  defp secret?({:ha1, %{}}), do: true
  defp secret?(password), do: is_binary(password)

  @doc "The request with credentials for what the response asks, or `:error` where nothing more is to be said."
  @spec answer(t, Message.request(), Message.response()) :: {:ok, Message.request(), t} | :error
  def answer(%__MODULE__{answered: answered} = retry, request, response) do
    allow? = fn place, challenges ->
      case answered do
        %{^place => 1} -> Enum.any?(challenges, & &1.stale)
        %{^place => _more} -> false
        _first -> true
      end
    end

    case Client.answer(request, response, retry.auth_fun, Client.options!([]), allow?) do
      {:ok, request, places} ->
        count = &Map.update(&2, &1, 1, fn before -> before + 1 end)
        {:ok, request, %{retry | answered: Enum.reduce(places, answered, count)}}

      _refusal ->
        :error
    end
  end
end
