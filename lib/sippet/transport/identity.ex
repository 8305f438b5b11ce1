defmodule Sippet.Transport.Identity do
  # Whom a certificate is for: the SIP domains in it, and whether the one that was asked for is among them (RFC 5922 §7).
  @moduledoc false

  require Record

  # Of the records of :public_key those that hold the names.
  hrl = "public_key/include/public_key.hrl"
  Record.defrecordp(:certificate, :OTPCertificate, Record.extract(:OTPCertificate, from_lib: hrl))

  Record.defrecordp(
    :tbs_certificate,
    :OTPTBSCertificate,
    Record.extract(:OTPTBSCertificate, from_lib: hrl)
  )

  Record.defrecordp(:extension, :Extension, Record.extract(:Extension, from_lib: hrl))

  Record.defrecordp(
    :attribute,
    :AttributeTypeAndValue,
    Record.extract(:AttributeTypeAndValue, from_lib: hrl)
  )

  Record.defrecordp(
    :public_key_info,
    :OTPSubjectPublicKeyInfo,
    Record.extract(:OTPSubjectPublicKeyInfo, from_lib: hrl)
  )

  Record.defrecordp(
    :public_key_algorithm,
    :PublicKeyAlgorithm,
    Record.extract(:PublicKeyAlgorithm, from_lib: hrl)
  )

  @subject_alt_name {2, 5, 29, 17}
  @common_name {2, 5, 4, 3}

  @typedoc "A domain in lower case, or an address as a tuple."
  @type name :: String.t() | :inet.ip_address()

  @doc "A host as it is compared: an address, or a name in lower case without a trailing dot."
  @spec normalize(String.t()) :: name
  def normalize(host) do
    bare = host |> String.trim_leading("[") |> String.trim_trailing("]")

    case bare |> :binary.bin_to_list() |> :inet.parse_strict_address() do
      {:ok, ip} -> ip
      {:error, _} -> bare |> String.trim_trailing(".") |> String.downcase(:ascii)
    end
  end

  @doc "Whether a certificate, as DER, is for this name, by the rules of SIP or those of HTTPS."
  @spec verify(binary, name, :sip | :https) :: :ok | {:error, {:wrong_certificate, [String.t()]}}
  def verify(der, name, rules \\ :sip)

  def verify(der, name, :https) do
    reference = if is_tuple(name), do: {:ip, name}, else: {:dns_id, String.to_charlist(name)}
    match = :public_key.pkix_verify_hostname_match_fun(:https)

    if :public_key.pkix_verify_hostname(der, [reference], match_fun: match),
      do: :ok,
      else: {:error, {:wrong_certificate, Enum.map(names(der), &text/1)}}
  end

  def verify(der, name, :sip) do
    names = names(der)

    # The whole name or nothing: a wildcard stands for itself (RFC 5922 §7.2).
    if name in names, do: :ok, else: {:error, {:wrong_certificate, Enum.map(names, &text/1)}}
  end

  @doc "A name as text."
  @spec text(name) :: String.t()
  def text(name) when is_binary(name), do: name
  def text(ip), do: ip |> :inet.ntoa() |> List.to_string()

  @doc """
  The names that a certificate is for: the domains of its `sip` URIs; without such those of its DNS names; without any
  alternative name that of its subject (RFC 5922 §7.1). Addresses count for those who were asked for by address.
  """
  @spec names(binary) :: [name]
  def names(der) do
    tbs = der |> :public_key.pkix_decode_cert(:otp) |> certificate(:tbsCertificate)

    case alternatives(tbs_certificate(tbs, :extensions)) do
      nil -> common_names(tbs_certificate(tbs, :subject))
      alternatives -> domains(alternatives) ++ addresses(alternatives)
    end
  end

  @doc "The public key of a certificate, with its parameters where those are apart."
  @spec public_key(binary) :: {:ok, term} | :error
  def public_key(der) do
    tbs = der |> :public_key.pkix_decode_cert(:otp) |> certificate(:tbsCertificate)
    info = tbs_certificate(tbs, :subjectPublicKeyInfo)
    {_algorithm, parameters} = info |> public_key_info(:algorithm) |> algorithm()

    case public_key_info(info, :subjectPublicKey) do
      {:ECPoint, _point} = point -> {:ok, {point, parameters}}
      key -> {:ok, key}
    end
  rescue
    _ -> :error
  end

  defp algorithm(record) do
    {public_key_algorithm(record, :algorithm), public_key_algorithm(record, :parameters)}
  end

  defp alternatives(extensions) when is_list(extensions) do
    Enum.find_value(extensions, fn
      extension(extnID: @subject_alt_name, extnValue: names) -> names
      _other -> nil
    end)
  end

  defp alternatives(_none), do: nil

  defp domains(alternatives) do
    uris =
      for {:uniformResourceIdentifier, text} <- alternatives,
          domain = domain(List.to_string(text)),
          do: domain

    if uris == [],
      do: for({:dNSName, name} <- alternatives, name = dns_name(List.to_string(name)), do: name),
      else: uris
  end

  # What looks like an address is none here.
  defp dns_name(text) do
    name = normalize(text)
    if is_binary(name), do: name
  end

  # Of another scheme it is no SIP identity, with a user part not that of a domain.
  defp domain(text) do
    case Sippet.URI.parse(text) do
      {:ok, %{scheme: "sip", userinfo: nil, host: host}} when is_binary(host) -> normalize(host)
      _ -> nil
    end
  end

  defp addresses(alternatives) do
    for {:iPAddress, bytes} <- alternatives, ip = address(bytes), do: ip
  end

  defp address(bytes) do
    case IO.iodata_to_binary([bytes]) do
      <<a, b, c, d>> -> {a, b, c, d}
      <<_::128>> = bytes -> List.to_tuple(for <<part::16 <- bytes>>, do: part)
      _ -> nil
    end
  end

  defp common_names({:rdnSequence, names}) do
    for set <- names,
        attribute(type: @common_name, value: {_kind, value}) <- set,
        name = dns_name(to_string(value)),
        do: name
  end
end
